"""Replay of a document: its files are written, its console blocks typed, its output compared.

A document shows a session in fenced blocks. ``python file=train.py`` (any language) is a file
to write; ``console`` holds commands after ``$`` and what they print. A line ``...`` stands for
any lines. Ids, times and short decimals of the document stand for those of this replay, and
an id in a later command is replaced by the one that really came out.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

_FENCE = re.compile(r"^```(\w*)[ ]?(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ID = r"\b[0-9a-f]{8,64}\b"
_VARYING = re.compile(
    rf"(?P<id>{_ID})"
    r"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"
    r"|(?P<decimal>\b\d+\.\d{1,3}\b(?![\d.]))"
    r"|(?P<any>\.\.\.)"
    r"|(?P<space>[ ]+)"
)


class Block(NamedTuple):
    """One fenced block of a document."""

    language: str
    info: str
    text: str
    line: int


def blocks(path: Path) -> Iterator[Block]:
    """Return the fenced blocks of a document in their order."""
    text = path.read_text()
    for match in _FENCE.finditer(text):
        yield Block(match[1], match[2], match[3], text.count("\n", 0, match.start()) + 1)


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Return each command of a console block with the lines it is said to print."""
    command: str | None = None
    shown: list[str] = []
    for line in block.text.splitlines():
        if command is not None and not _is_whole(command):
            command += "\n" + line
        elif line.startswith("$ "):
            if command is not None:
                yield command, shown
            command, shown = line[2:], []
        else:
            shown.append(line)
    if command is not None:
        yield command, shown


def _is_whole(command: str) -> bool:
    """Return whether no further line belongs to a command: no open quote, no last backslash."""
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


class Replay:
    """One session in a folder, as a document tells it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._start = folder
        self._known: dict[str, str] = {}
        self._code = 0
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AEXP_", "SLURM_", "GIT_", "SNAKEMAKE_", "CUDA_"))
        }
        self._env = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def play(self, path: Path) -> int:
        """Go through a document; return how many commands it has."""
        count = 0
        for block in blocks(path):
            where = f"{path.name}, block at line {block.line}"
            if block.info.startswith("file="):
                target = self.folder / block.info.removeprefix("file=")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text)
            elif block.language == "console":
                for command, shown in commands(block):
                    self._type(command, shown, where)
                    count += 1
        assert self._code == 0, f"{path.name}: the last command ends with {self._code}"
        return count

    def _type(self, command: str, shown: list[str], where: str) -> None:
        asks_for_code = command.strip() == "echo $?"
        assert self._code == 0 or asks_for_code, (
            f"{where}: the command before {command!r} ended with {self._code}"
        )
        real = re.sub(_ID, lambda match: self._real(match[0]), command)
        where_to = self._start / ".cwd"
        script = f'(exit {self._code})\neval "$1"\ncode=$?\npwd >{where_to}\nexit $code'
        done = subprocess.run(
            ["bash", "-c", script, "bash", real],
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=120,
        )
        self.folder = Path(where_to.read_text().strip())
        self._code = done.returncode
        self._compare(shown, done.stdout, f"{where}: $ {command}")

    def _real(self, shown: str) -> str:
        return self._known.get(shown[:8], shown)[: len(shown)]

    def _compare(self, shown: list[str], printed: str, where: str) -> None:
        host = os.uname().nodename.split(".")[0]
        printed = re.sub(rf"(?<=\s){re.escape(host)}(?=\s)", "laptop", printed)
        lines = [" ".join(line.split(" ")).rstrip() for line in printed.splitlines()]
        names: list[str] = []
        pattern = "".join(_pattern(line.rstrip(), names) for line in shown)
        match = re.fullmatch(pattern, "".join(line + "\n" for line in lines))
        assert match, f"{where}\n--- the document:\n" + "\n".join(shown) + f"\n--- real:\n{printed}"
        for name, real in zip(names, match.groups(), strict=True):
            known = self._known.setdefault(name[:8], real)
            assert known.startswith(real) or real.startswith(known), (
                f"{where}: {name} stands for {known} and for {real}"
            )
            self._known[name[:8]] = max(known, real, key=len)


def _pattern(line: str, names: list[str]) -> str:
    """Return what a line of a document matches; its ids are groups, added to `names`."""
    if line == "...":
        return r"(?:.*\n)*?"
    pattern, position = "", 0
    for match in _VARYING.finditer(line):
        pattern += re.escape(line[position : match.start()])
        position = match.end()
        if match["id"]:
            names.append(match["id"])
            pattern += f"([0-9a-f]{{{len(match['id'])}}})"
        elif match["time"]:
            pattern += r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
        elif match["decimal"]:
            pattern += r"\d+(?:\.\d+)?"
        elif match["any"]:
            pattern += r".*?"
        else:
            pattern += r"[ ]+"
    return pattern + re.escape(line[position:]) + r"\n"


@pytest.fixture
def replay(tmp_path: Path) -> Callable[[Path], int]:
    """Return a function that replays a document in an empty folder."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n  name = you\n  email = you@example.org\n[init]\n  defaultBranch = main\n"
    )
    return Replay(home).play
