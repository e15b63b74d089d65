"""The block of ``.gitignore`` that aexp keeps; everything outside it is the user's."""

import re

from aexp.install.block import find_block, outside_block, replace_block
from aexp.install.target import Target

NAME = ".gitignore"
BEGIN = "# agentic-experiments:begin"
END = "# agentic-experiments:end"

_LEGACY = re.compile(r"^[ \t]*/?\.aexp/?[ \t]*(#.*)?\r?$", re.MULTILINE)
# Lines that hide what lies in ``.aexp/``, too: the first kind anywhere, the second where
# nothing after it says that the ledger is not meant.
_ALL = re.compile(r"^[ \t]*(?:/?\.aexp/\*\*/?|(?:/|\*\*/)*\.aexp/?)[ \t]*\r?$")
_DIRECT = re.compile(r"^[ \t]*/?\.aexp/\*/?[ \t]*\r?$")
_EXCEPT = re.compile(r"^[ \t]*!/?\.aexp/(?:ledger/?|\*|\*\*/?)[ \t]*\r?$")
# Lines of the block that other tools of this layout write, too: the same strings.
_SHARED = (
    "# aexp per-install / per-machine state — kept gitignored",
    ".aexp/*",
    "# ...except these cross-machine shared subdirs:",
    "!.aexp/runs-index/",
    "!.aexp/ledger/",
    "!.aexp/campaigns/",
)
_RUN_FILES = (
    "terminal.json",
    "complete",
    "claim",
    "heartbeat",
    "metrics.json",
    "series.jsonl",
    "progress.json",
    "outcome.json",
    "code*.patch",
    "logs/",
    "environment/",
    "checkpoints/",
    "assets/",
    "tracker/",
    "tracker_log/",
    "wandb/",
    "mlflow/",
    ".*",
)


def body(store: str) -> str:
    """Return the block's lines for a run store at `store`."""
    own = [
        "# working files of aexp and Snakemake:",
        ".snakemake/",
        ".aexp/ledger/.*",
        *(f"/{store}/workspace/*/{name}" for name in _RUN_FILES),
        f"/{store}/workspace/.new-*/",
        f"/{store}/.signac_sp_cache.json.gz",
    ]
    return "\n".join([*_SHARED, *own]) + "\n"


def merged(text: str, store: str) -> str:
    """Return `text` with our block renewed in place, or added at its end."""
    return replace_block(text, BEGIN, END, body(store))


def has_legacy_rule(text: str) -> bool:
    """Return whether a line outside our block hides all of ``.aexp/``."""
    return _LEGACY.search(outside_block(text, BEGIN, END)) is not None


def hiding_line(text: str) -> str | None:
    """Return the line outside our block that hides the ledger, None when there is none."""
    found = find_block(text, BEGIN, END)
    for line in outside_block(text, BEGIN, END).split("\n"):
        if _ALL.match(line) or _LEGACY.match(line):
            return line.strip()
    hides = None
    for line in text[found[1] if found else 0 :].split("\n"):
        if _DIRECT.match(line):
            hides = line.strip()
        elif _EXCEPT.match(line):
            hides = None
    return hides


def merge_gitignore(target: Target, store: str) -> None:
    """Write the block; warn of a rule that hides the ledger all the same."""
    if not target.is_ours(NAME):
        return
    text = target.read_text(NAME)
    new = merged(text, store)
    if new == text:
        target.note("skipped_identical", NAME)
    else:
        target.note("merged_gitignore", NAME)
        target.write_text(NAME, new)
    line = hiding_line(new)
    if line is not None:
        target.note(
            "gitignore_migration_warning",
            NAME,
            f"the line {line} outside our block hides the ledger from git; remove it",
        )
