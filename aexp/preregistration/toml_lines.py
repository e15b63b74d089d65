"""On which line of a TOML text each key stands: the standard library does not say."""

import re
import tomllib
from typing import Any

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_END = re.compile(r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^="'\]\n])*""")
_TEXT = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)

Path = tuple[str, ...]


def lines_of(text: str) -> dict[Path, int]:
    """Return the 1-based line of every table and key of a text that parses as TOML.

    Keys within an inline table have the line of the key that holds it, which is theirs.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    at = _space(text, 0)
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        if text[at] == "[":
            start = at + (2 if text.startswith("[[", at) else 1)
            at = _key_end(text, start)
            table = _parts(text[start:at])
            for length in range(1, len(table) + 1):
                found.setdefault(table[:length], line)
            while at < len(text) and text[at] == "]":
                at += 1
        else:
            end = _key_end(text, at)
            path = (*table, *_parts(text[at:end]))
            for length in range(len(table) + 1, len(path) + 1):
                found.setdefault(path[:length], line)
            at = _value_end(text, end + 1)
        at = _space(text, at)
    return found


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """Return the line of a key, or of the nearest table above it that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _key_end(text: str, at: int) -> int:
    match = _KEY_END.match(text, at)
    return match.end() if match else at


def _parts(key: str) -> Path:
    """Return the parts of a key as TOML reads it: quoted ones, dots, escapes."""
    value: Any = tomllib.loads(f"{key.strip()} = 0")
    parts = []
    while isinstance(value, dict):
        ((part, value),) = value.items()
        parts.append(part)
    return tuple(parts)


def _value_end(text: str, at: int) -> int:
    """Return where a value ends: at the end of its line, or of its last bracket's."""
    depth = 0
    while at < len(text):
        character = text[at]
        if character in "\"'":
            match = _TEXT.match(text, at)
            at = match.end() if match else at + 1
            continue
        if character == "#":
            at = text.find("\n", at)
            if at < 0:
                return len(text)
            continue
        if character == "\n" and depth == 0:
            return at
        depth += (character in "[{") - (character in "]}")
        at += 1
    return at
