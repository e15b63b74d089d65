"""Verbs called in the test's own process: where a process is not the point, it only takes time."""

import contextlib
import json
import warnings
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from aexp.cli.commands import cli
from aexp.errors import AexpError


class CommandLine:
    """A repository and its command line.

    Attributes
    ----------
    root : pathlib.Path
        The repository.
    stdout, stderr : str
        What the last verb printed, and its remarks, as `aexp.cli.main` words them.
    warnings : list of str
        What it warned of.
    error : AexpError or None
        What it refused.
    """

    root: Path
    stdout = ""
    stderr = ""
    error: AexpError | None = None

    def cli(self, *arguments: str, rc: int = 0, cwd: Path | None = None) -> str:
        """Call a verb as a user in the repository would; return what it printed."""
        with contextlib.chdir(cwd or self.root), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            done = CliRunner().invoke(cli, arguments)
        self.warnings = [str(one.message) for one in caught]
        code, self.error = done.exit_code, None
        self.stdout, self.stderr = done.stdout_bytes.decode(), done.stderr
        if isinstance(done.exception, AexpError):
            self.error = done.exception
            code = self.error.exit_code
            self.stderr += f"error: {self.error.message}\nhint: {self.error.hint}\n"
        elif done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        self.stderr += "".join(f"warning: {text}\n" for text in self.warnings)
        assert code == rc, (arguments, code, self.stdout, self.stderr)
        return self.stdout

    def json(self, *arguments: str, rc: int = 0, cwd: Path | None = None) -> Any:
        """Call a verb with ``--json``; return what it printed."""
        return json.loads(self.cli(*arguments, "--json", rc=rc, cwd=cwd))
