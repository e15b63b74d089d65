"""The block of ``AGENTS.md`` and ``CLAUDE.md`` that aexp keeps."""

import os

from aexp.install.block import outside_block, replace_block
from aexp.install.target import Target

BEGIN = "<!-- agentic-experiments:begin -->"
END = "<!-- agentic-experiments:end -->"


def merge_markdown(target: Target, name: str, body: str) -> None:
    """Write our block into a markdown file and leave the rest of it alone."""
    if not target.is_ours(name):
        return
    text = target.read_text(name)
    if outside_block(text, BEGIN, END) == text and any(mark in text for mark in (BEGIN, END)):
        target.note("skipped_conflict", name, f"it has only one of the lines {BEGIN} and {END}")
        return
    new = replace_block(text, BEGIN, END, body)
    if new == text:
        target.note("skipped_identical", name)
        return
    target.note("merged_block", name)
    target.write_text(name, new)


def is_same_file(target: Target, name: str, other: str) -> bool:
    """Return whether two names are one file: the one is a link to the other."""
    first, second = target.place(name), target.place(other)
    return first == second and os.path.lexists(os.path.join(target.root, name))
