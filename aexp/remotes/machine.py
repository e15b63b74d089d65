"""The one place that calls ssh and rsync: a folder at another machine, or on another disk.

Host, user and folder were checked by `aexp.remotes.address`; scripts are given to ``sh`` as its
standard input, so that the login shell there, whichever it is, reads nothing but ``sh -s``.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import NamedTuple

from aexp.errors import RemoteAway, RemoteDenied, RemoteError
from aexp.model import printable
from aexp.remotes.address import SSH
from aexp.remotes.config import Remote

CONNECT_S = 10
_SILENT_S = 60
_SCRIPT_S = 300.0
_FAILED = 255  # ssh's own exit code
# What ssh and rsync say, and what to do about it; the first that fits.
_AWAY = re.compile(
    r"Could not resolve|Connection (refused|timed out|reset|closed)|No route to host"
    r"|Network is unreachable|Operation timed out|timeout in data|lost connection"
    r"|port 65535|Broken pipe|not responding",
    re.IGNORECASE,
)
_DENIED = re.compile(r"Permission denied \(|Too many authentication failures")
_UNKNOWN_KEY = re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION")
_NO_RSYNC = re.compile(r"rsync: (command )?not found|rsync: not found|rsync.*No such file or dir")
_UNCLEAN = re.compile(r"protocol version mismatch|is your shell clean")
_FULL = re.compile(r"No space left|Disk quota exceeded")


class Said(NamedTuple):
    """What a script at a remote has answered."""

    code: int
    lines: list[str]
    error: str


class Machine:
    """The folder of a remote at ``ssh://`` or ``file://``."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._address = remote.address
        path = self._address.path
        # What is below one's home is relative to where ssh and rsync begin there.
        self._path = path.removeprefix("/~/") if self._is_far else path
        self.is_in_home = self._path != path

    @property
    def _is_far(self) -> bool:
        return self._address.scheme == SSH

    @property
    def name(self) -> str:
        """The remote's name."""
        return self._remote.name

    @property
    def shell_path(self) -> str:
        """The folder as a word of a script."""
        home = '"$HOME"/' if self.is_in_home else ""
        return home + shlex.quote(self._path)

    def place(self, inner: str = "") -> str:
        """Return a folder as an argument of rsync, with a slash at its end."""
        path = os.path.join(self._path, inner) if inner else self._path
        path = path.rstrip("/") + "/"
        if not self._is_far:
            return path
        return f"{self._host}:{path}"

    def run(self, script: str, *, timeout_s: float = _SCRIPT_S) -> Said:
        """Have ``sh`` there execute a script; nobody is asked for a password.

        Raises
        ------
        RemoteAway, RemoteDenied, RemoteError
            If it cannot be reached, lets nobody in, or does not answer in time. What the
            script's own exit code means is the caller's.
        """
        command = ["sh", "-s"]
        if self._is_far:
            command = [*self._ssh(), "--", self._host, "sh -s"]
        done = self._call(command, data=script.encode(), timeout_s=timeout_s)
        if self._is_far and done.code == _FAILED:
            raise self._failure(done.error)
        return done

    def copy(
        self,
        source: str,
        target: str,
        *options: str,
        names: Sequence[str] | None = None,
    ) -> list[str]:
        """Copy files with rsync and return what it has said of each.

        A file gets its name when it is whole. What is cut off is kept aside, and gone on
        with by the next call.

        Parameters
        ----------
        source, target : str
            Folders; one of them of `place`.
        *options : str
            Further options of rsync.
        names : sequence of str, optional
            Only these files, relative to `source`.

        Raises
        ------
        RemoteAway, RemoteDenied, RemoteError
            If it could not be done; what has arrived, has.
        """
        command = ["rsync", "--recursive", "--times", "--partial-dir=.aexp-partial"]
        command += [f"--timeout={_SILENT_S}", "--out-format=%i %l %n", *options]
        if self._is_far:
            command.append(f"--rsh={' '.join(self._ssh())}")
        data = b""
        if names is not None:
            command += ["--from0", "--files-from=-"]
            data = b"\0".join(os.fsencode(name) for name in names)
        done = self._call([*command, "--", source, target], data=data, timeout_s=None)
        # 24: a file has gone while others were copied, as those of runs at work do.
        if done.code not in (0, 24):
            raise self._failure(done.error, done.code)
        return done.lines

    def greet(self) -> None:
        """Have rsync list one's home there, or the root of this machine: both can.

        Raises
        ------
        RemoteError
            As of `copy`.
        """
        where = f"{self._host}:" if self._is_far else "/"
        command = ["rsync", "--list-only", "--dirs", f"--timeout={CONNECT_S}"]
        if self._is_far:
            command.append(f"--rsh={' '.join(self._ssh())}")
        done = self._call([*command, "--", where], data=b"", timeout_s=None)
        if done.code != 0:
            raise self._failure(done.error, done.code)

    @property
    def _host(self) -> str:
        user = f"{self._address.user}@" if self._address.user else ""
        return user + self._address.host

    def _ssh(self) -> list[str]:
        command = ["ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}"]
        command += ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]
        command += ["-o", "ClearAllForwardings=yes"]
        return [*command, "-p", str(self._address.port)] if self._address.port else command

    def _call(self, command: list[str], *, data: bytes, timeout_s: float | None) -> Said:
        program = command[0]
        try:
            # Files, not pipes: an ssh that stays for later calls would keep a pipe open.
            with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
                given.write(data)
                given.seek(0)
                done = subprocess.run(
                    command,
                    stdin=given,
                    stdout=out,
                    stderr=err,
                    timeout=timeout_s,
                    check=False,
                    env={**os.environ, "LC_ALL": "C"},
                )
                out.seek(0)
                err.seek(0)
                text = out.read().decode(errors="surrogateescape")
                error = err.read().decode(errors="replace").strip()
                return Said(done.returncode, text.splitlines(), error)
        except FileNotFoundError:
            raise RemoteError(
                f"{program} is not installed here", f"install it: apt-get install {program}"
            ) from None
        except subprocess.TimeoutExpired:
            raise RemoteAway(
                f"remote {self.name} has not answered for {timeout_s:.0f} s", self._again
            ) from None

    @property
    def _again(self) -> str:
        return f"nothing is lost; the same command goes on later; try: aexp remote test {self.name}"

    def _failure(self, error: str, code: int = _FAILED) -> RemoteError:
        lines = [line.strip() for line in error.splitlines() if line.strip()]
        said = next((ln for ln in lines if not ln.startswith("Warning:")), f"exit code {code}")
        what = f"remote {self.name}: {printable(said)[:300]}"
        host = self._host
        port = f"-p {self._address.port} " if self._address.port else ""
        if _UNKNOWN_KEY.search(error):
            return RemoteError(
                f"remote {self.name}: the host key of {host} is unknown, or another than before",
                f"connect once and compare it: ssh {port}{host}",
            )
        if _DENIED.search(error):
            return RemoteDenied(
                f"remote {self.name}: {host} lets nobody in without a password",
                f"give it your key: ssh-copy-id {port}{host}; or load it: ssh-add",
            )
        if _NO_RSYNC.search(error) and code in (12, 127, 126):
            return RemoteError(
                f"remote {self.name} has no rsync",
                "install it there (apt-get install rsync), where commands of ssh find it",
            )
        if _UNCLEAN.search(error):
            return RemoteError(
                f"remote {self.name}: its login shell prints something before rsync does",
                f"ssh {port}{host} true must print nothing: see ~/.bashrc there",
            )
        if _FULL.search(error):
            return RemoteError(what, "make room, then call it again; nothing is torn")
        if code in (10, 12, 30, 35, _FAILED) or _AWAY.search(error):
            return RemoteAway(what, self._again)
        return RemoteError(what, f"try: aexp remote test {self.name}")
