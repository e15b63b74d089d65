"""Where a benchmark works: a scratch folder, the commands it compares, how much it does."""

import sys
from functools import cached_property
from pathlib import Path

from benchmarks.peer import PeerUnavailable, install_peer

FLOORS = Path(__file__).parent / "floors"


class Place:
    """Scratch folder and commands of one run of the benchmarks.

    Parameters
    ----------
    build : Path
        Git-ignored folder that keeps the peer's environment between calls.
    scratch : Path
        Folder for stores, removed when the benchmarks end.
    quick : bool
        Small sizes, few rounds: whether everything works, not how fast it is.
    with_peer : bool, default True
        Whether the peer is measured too.
    """

    def __init__(self, build: Path, scratch: Path, quick: bool, with_peer: bool = True) -> None:
        self.build = build
        self.scratch = scratch
        self.quick = quick
        self.python = sys.executable
        self.with_peer = with_peer
        self._serial = 0

    @cached_property
    def aexp(self) -> str:
        """Our console script, beside this interpreter."""
        return self.script("aexp")

    @cached_property
    def snakemake(self) -> str:
        """Snakemake, beside this interpreter."""
        return self.script("snakemake")

    def script(self, name: str) -> str:
        """Return a console script of this interpreter's environment."""
        path = Path(sys.executable).parent / name
        if not path.exists():
            raise RuntimeError(f"{name} is not installed beside {sys.executable}")
        return str(path)

    def floor(self, name: str, *arguments: str | Path) -> list[str]:
        """Return the command of one of the plain programs in ``floors/``."""
        return [self.python, str(FLOORS / f"{name}.py"), *map(str, arguments)]

    def folder(self, name: str) -> Path:
        """Return a name for a new folder in the scratch folder."""
        self._serial += 1
        return self.scratch / f"{self._serial}-{name}"

    def size(self, full: int, quick: int) -> int:
        """Return how many runs to use."""
        return quick if self.quick else full

    @cached_property
    def peer(self) -> str | None:
        """The peer's console script in an environment of its own; None when it cannot be had."""
        if not self.with_peer:
            return None
        try:
            return str(install_peer(self.build))
        except (OSError, PeerUnavailable) as error:
            print(f"the peer cannot be installed ({error}); the rest goes on", file=sys.stderr)
            return None
