"""The block of ``.gitignore`` that aexp keeps; everything outside it is the user's."""

import re

BEGIN = "# agentic-experiments:begin"
END = "# agentic-experiments:end"

_LEGACY = re.compile(r"^\s*/?\.aexp/?\s*(#.*)?$", re.MULTILINE)
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


def block(store: str) -> str:
    """Return the block for a run store at `store`."""
    own = [
        "# working files of aexp and Snakemake:",
        ".snakemake/",
        ".aexp/ledger/.*",
        *(f"/{store}/workspace/*/{name}" for name in _RUN_FILES),
        f"/{store}/workspace/.new-*/",
        f"/{store}/.signac_sp_cache.json.gz",
    ]
    return "\n".join([BEGIN, *_SHARED, *own, END]) + "\n"


def merged(text: str, store: str) -> str:
    """Return `text` with our block renewed in place, or added at its end."""
    new = block(store)
    start, end = text.find(BEGIN), text.find(END)
    if start >= 0 and end > start:
        rest = text[end + len(END) :]
        return text[:start] + new + rest.removeprefix("\n")
    if text and not text.endswith("\n"):
        text += "\n"
    return text + ("\n" if text else "") + new


def has_legacy_rule(text: str) -> bool:
    """Return whether a line outside our block hides all of ``.aexp/``."""
    start, end = text.find(BEGIN), text.find(END)
    outside = text[:start] + text[end:] if 0 <= start < end else text
    return _LEGACY.search(outside) is not None
