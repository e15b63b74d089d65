"""``aexp remote test`` of a machine: what sync and runs will need there, each with a way out."""

import time
from typing import NamedTuple

from aexp.errors import AexpError
from aexp.model import printable
from aexp.remotes.address import SSH
from aexp.remotes.config import Remote
from aexp.remotes.machine import Machine

_ASK = """
say() {{ printf 'aexp:%s %s\\n' "$1" "$2"; }}
ask() {{ name=$1; shift
  command -v "$1" >/dev/null 2>&1 && say "$name" "$("$@" 2>/dev/null | head -n 1)"; }}
ask rsync rsync --version
ask git git --version
ask python python3 --version
ask aexp aexp --version
ask slurm sbatch --version
folder={root}
if [ -d "$folder" ]; then
  if [ -w "$folder" ]; then say folder writable; else say unwritable "$folder"; fi
else
  while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
  if [ -d "$folder" ] && [ -w "$folder" ]; then say folder 'to be made'
  else say unwritable "$folder"; fi
fi
say done .
"""
_HINTS = {
    "rsync": "install it there: apt-get install rsync; commands of ssh must find it",
    "git": "only aexp ledger sync and runs there need it: apt-get install git",
    "python": "only runs there need it: Python 3.11 or newer",
    "aexp": "only runs there need it: pip install aexp; for commands of ssh, put it on PATH in "
    "~/.bashrc, before its check for a terminal",
    "slurm": "only where runs go through Slurm",
}
_NEEDED = frozenset({"ssh", "rsync", "folder"})


class Step(NamedTuple):
    """One thing that was looked for.

    Attributes
    ----------
    name : str
        ``ssh``, ``rsync``, ``folder``, ``git``, ``python``, ``aexp``, ``slurm``.
    ok : bool
        Whether it is there and works.
    needed : bool
        Whether ``aexp sync`` needs it.
    detail : str
        Its version, or what is wrong.
    hint : str or None
        What to do about it.
    seconds : float or None
        How long it took, of what was tried.
    """

    name: str
    ok: bool
    needed: bool
    detail: str
    hint: str | None
    seconds: float | None


def check_machine(remote: Remote) -> list[Step]:
    """Try ssh and rsync, and look for what else there may be; nothing is written there."""
    machine = Machine(remote)
    began = time.monotonic()
    try:
        said = machine.run(_ASK.format(root=machine.shell_path), timeout_s=60)
    except AexpError as error:
        return [_failed("ssh", error, began)]
    steps = []
    if remote.address.scheme == SSH:
        steps.append(_step("ssh", True, "connected", seconds=_since(began)))
    found = {}
    for line in said.lines:
        if line.startswith("aexp:"):
            name, _, detail = line[5:].partition(" ")
            found[name] = printable(" ".join(detail.split())) or "there"
    if "done" not in found:
        reason = printable(said.error)[:300] or f"exit code {said.code}"
        return [_step("ssh", False, f"its shell does not work: {reason}", "see ~/.bashrc there")]
    if "rsync" in found:
        began = time.monotonic()
        try:
            machine.greet()
            steps.append(_step("rsync", True, found["rsync"], seconds=_since(began)))
        except AexpError as error:
            steps.append(_failed("rsync", error, began))
    else:
        steps.append(_step("rsync", False, "not there", _HINTS["rsync"]))
    if "folder" in found:
        steps.append(_step("folder", True, found["folder"]))
    else:
        where = found.get("unwritable", "it")
        steps.append(_step("folder", False, f"{where} cannot be written", "change its owner"))
    for name in ("git", "python", "aexp", "slurm"):
        hint = None if name in found else _HINTS[name]
        steps.append(_step(name, name in found, found.get(name, "not there"), hint))
    return steps


def _step(
    name: str, ok: bool, detail: str, hint: str | None = None, seconds: float | None = None
) -> Step:
    return Step(name, ok, name in _NEEDED, detail, hint, seconds)


def _failed(name: str, error: AexpError, began: float) -> Step:
    return _step(name, False, error.message, error.hint, _since(began))


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
