"""The nine folders of scripts: what belongs into each, how it is named, what git keeps of it."""

import os
import re
from typing import NamedTuple

SCRIPTS = "scripts"
SUFFIXES = frozenset(
    {".py", ".sh", ".bash", ".slurm", ".sbatch", ".r", ".jl", ".pl", ".lua", ".m", ".ipynb"}
)
_VERB_NOUN = re.compile(r"[a-z][a-z0-9]*_[a-z0-9][a-z0-9_]*")
_DATED = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})_[a-z0-9][a-z0-9_]*")
VERB_NOUN, DATED = "verb_noun", "YYMMDD_desc"


class ScriptFolder(NamedTuple):
    """One folder below ``scripts/``.

    Attributes
    ----------
    name : str
        Its name.
    purpose : str
        What its scripts do.
    naming : str
        ``verb_noun`` or ``YYMMDD_desc``.
    suffix : str
        Of its scripts.
    tracked : bool or None
        Whether git keeps its scripts; None leaves it to the user.
    sidecar : str or None
        ``required``, ``expected`` (a warning without), or None.
    """

    name: str
    purpose: str
    naming: str
    suffix: str
    tracked: bool | None
    sidecar: str | None = None

    @property
    def path(self) -> str:
        """Its path in the repository."""
        return f"{SCRIPTS}/{self.name}"


FOLDERS = (
    ScriptFolder("experiments", "experiment runners", VERB_NOUN, ".py", True, "required"),
    ScriptFolder("analysis", "post-hoc analysis and plots", VERB_NOUN, ".py", None),
    ScriptFolder("validation", "correctness checks", VERB_NOUN, ".py", None, "expected"),
    ScriptFolder("benchmarks", "performance benchmarks", VERB_NOUN, ".py", True, "required"),
    ScriptFolder("data", "data pipeline and conversion", VERB_NOUN, ".py", False),
    ScriptFolder("slurm", "Slurm job files and their helpers", VERB_NOUN, ".slurm", None),
    ScriptFolder("debug", "debugging of specific issues", DATED, ".py", False),
    ScriptFolder("explore", "open-ended investigation", DATED, ".py", False),
    ScriptFolder("scratch", "whatever is thrown away", DATED, ".py", False),
)
_BY_NAME = {folder.name: folder for folder in FOLDERS}


def folder_of(path: str) -> ScriptFolder | None:
    """Return the folder whose rules hold for a script.

    Parameters
    ----------
    path : str
        Relative to the repository, with forward slashes. Only ``scripts/`` at its top counts,
        whatever other folders are called; what begins with ``.`` or ``_`` is a helper.
    """
    parts = path.split("/")
    if len(parts) < 3 or parts[0] != SCRIPTS or any(part[:1] in "._" for part in parts[2:]):
        return None
    return _BY_NAME.get(parts[1])


def is_script(path: str) -> bool:
    """Return whether an existing file looks like a script: by its suffix, or it is executable."""
    suffix = os.path.splitext(path)[1].lower()
    return suffix in SUFFIXES or (not suffix and os.access(path, os.X_OK))


def name_fault(folder: ScriptFolder, name: str) -> str | None:
    """Return what is wrong with the name of a script, None when nothing is."""
    stem, suffix = os.path.splitext(name)
    if suffix != folder.suffix:
        return f"a script of {folder.path}/ ends in {folder.suffix}"
    if folder.naming == VERB_NOUN:
        if _VERB_NOUN.fullmatch(stem):
            return None
        return f"it is not named {VERB_NOUN}{folder.suffix}, like train_model{folder.suffix}"
    match = _DATED.fullmatch(stem)
    if match and 1 <= int(match[2]) <= 12 and 1 <= int(match[3]) <= 31:
        return None
    return f"it is not named {DATED}{folder.suffix}, like 261121_nan_loss{folder.suffix}"
