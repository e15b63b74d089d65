"""When an agent begins: the question, where things stand, and the runs in numbers."""

import os
import re
from collections import Counter

from aexp.agents.payload import Answer, Payload
from aexp.errors import AexpError
from aexp.files import read_bytes
from aexp.model import STATUSES
from aexp.paths import Repo
from aexp.runs.initialize import has_run_store
from aexp.runs.store import scan_runs

_PAGES = (os.path.join("kb", "mission", "CHALLENGE.md"), os.path.join("kb", "ACTIVE.md"))
_MAX_CHARS = 6000
_FRONTMATTER = re.compile(r"\A---[ \t]*\n.*?^---[ \t]*\n", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def session_start(payload: Payload) -> Answer:
    """Return what an agent shall know before it does anything here."""
    repo = payload.repo()
    if repo is None:
        return Answer()
    parts = [_page(repo, name) for name in _PAGES]
    parts.append(_runs(repo))
    return Answer(text="\n\n".join(part for part in parts if part))


def _page(repo: Repo, name: str) -> str:
    try:
        data = read_bytes(repo.at(name))
    except AexpError as error:
        return f"({error.message})"
    if data is None:
        return f"({name} is missing: aexp install writes it)"
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    text = _COMMENT.sub("", _FRONTMATTER.sub("", text)).strip()
    text = _CONTROL.sub("\ufffd", re.sub(r"\n{3,}", "\n\n", text))
    if len(text) > _MAX_CHARS:
        text = text[:_MAX_CHARS].rstrip() + f"\n... ({name} has more)"
    return f"=== {name} ===\n{text}"


def _runs(repo: Repo) -> str:
    if not has_run_store(repo):
        return "=== runs ===\nno run store in this clone: aexp install makes it"
    counts: dict[str, Counter[str]] = {}
    for run in scan_runs(repo):
        counts.setdefault(run.experiment_id or "-", Counter())[run.status] += 1
    lines = [
        f"{name}: " + ", ".join(f"{count[word]} {word}" for word in STATUSES if count[word])
        for name, count in sorted(counts.items())
    ]
    return "\n".join(["=== runs (aexp status) ===", *(lines or ["none yet"])])
