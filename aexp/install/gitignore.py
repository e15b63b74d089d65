"""The block of ``.gitignore`` that aexp keeps; everything outside it is the user's."""

import re

from aexp.install.block import outside_block, replace_block
from aexp.install.target import Target

NAME = ".gitignore"
BEGIN = "# agentic-experiments:begin"
END = "# agentic-experiments:end"

_LEGACY = re.compile(r"^[ \t]*/?\.aexp/?[ \t]*(#.*)?\r?$", re.MULTILINE)
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
    "code*.patch",
    "logs/",
    "environment/",
    "checkpoints/",
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
    if has_legacy_rule(text):
        target.note(
            "gitignore_migration_warning",
            NAME,
            "the line .aexp/ outside our block hides the ledger from git; remove it",
        )
