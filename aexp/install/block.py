"""A block of ours in a file of the user's: the lines between two markers."""

import re
from itertools import pairwise


def find_block(text: str, begin: str, end: str) -> tuple[int, int] | None:
    """Return where the block starts and where its last line ends, None when there is none.

    A marker is a line of its own. A begin without an end of its own belongs to no block:
    what comes after it could be the user's.
    """
    either = f"^(?:{re.escape(begin)}|{re.escape(end)})(?=[ \t]*\r?$)"
    marks = list(re.finditer(either, text, re.MULTILINE))
    for first, second in pairwise(marks):
        if (first[0], second[0]) == (begin, end):
            return first.start(), second.end()
    return None


def replace_block(text: str, begin: str, end: str, body: str) -> str:
    """Return `text` with the block's lines renewed in place, or added at its end.

    Parameters
    ----------
    text : str
        The file as it is; its kind of line ends is kept.
    begin, end : str
        The marker lines.
    body : str
        The lines between them, each with its newline.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    block = f"{begin}\n{body}{end}".replace("\n", newline)
    found = find_block(text, begin, end)
    if found is not None:
        return text[: found[0]] + block + text[found[1] :]
    if text and not text.endswith("\n"):
        text += newline
    return text + (newline if text else "") + block + newline


def outside_block(text: str, begin: str, end: str) -> str:
    """Return `text` without the block."""
    found = find_block(text, begin, end)
    return text if found is None else text[: found[0]] + text[found[1] :]
