"""A script and its sidecar, to begin an experiment with: sound, and executable as they are."""

import os
from typing import NamedTuple

from aexp.errors import UsageError
from aexp.files import create_exclusive, remove
from aexp.model import printable
from aexp.paths import Repo
from aexp.preregistration.folders import FOLDERS, SCRIPTS, ScriptFolder, name_fault
from aexp.preregistration.script import sidecar_path

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_WITH_SIDECAR = tuple(folder for folder in FOLDERS if folder.sidecar and folder.suffix == ".py")


class ScriptDraft(NamedTuple):
    """A script that is to be made, and what of it is there already.

    Attributes
    ----------
    script, sidecar : str
        Their paths, relative to the repository.
    has_script : bool
        Whether the script exists: then only its sidecar is made.
    """

    script: str
    sidecar: str
    has_script: bool

    @property
    def files(self) -> list[str]:
        """The files that will be made."""
        return [self.sidecar] if self.has_script else [self.script, self.sidecar]

    @property
    def command(self) -> str:
        """A runner command that executes the script."""
        return f"python {self.script} --seed {{seed}}"


def draft_script(repo: Repo, name: str) -> ScriptDraft:
    """Return what `name` would become; nothing is written.

    Parameters
    ----------
    repo : Repo
        The repository.
    name : str
        ``verb_noun`` for ``scripts/experiments/verb_noun.py``, or with another folder that
        has sidecars: ``benchmarks/time_loader``.

    Raises
    ------
    UsageError
        If it is no such name, or the sidecar exists already.
    """
    folder, stem = _folder(name)
    fault = name_fault(folder, stem + folder.suffix)
    if fault is not None:
        raise UsageError(
            f"{printable(name)!r} cannot be a script of {folder.path}/: {fault}",
            "name it by a verb and a noun: aexp new-experiment --script train_model",
        )
    script = f"{folder.path}/{stem}{folder.suffix}"
    sidecar = sidecar_path(script)
    _check_inside(repo, folder.path)
    if os.path.lexists(repo.at(sidecar)):
        raise UsageError(
            f"{sidecar} exists already; nothing was written", "edit it, or take another name"
        )
    return ScriptDraft(script, sidecar, os.path.lexists(repo.at(script)))


def write_script(repo: Repo, draft: ScriptDraft) -> None:
    """Write the files of a draft: all of them, or none.

    Raises
    ------
    UsageError
        If one of them exists by now: nothing of a user's is overwritten.
    """
    made: list[str] = []
    name = os.path.splitext(os.path.basename(draft.script))[0]
    for path in draft.files:
        template = "script.py.txt" if path == draft.script else "sidecar.aexp.toml.txt"
        with open(os.path.join(_TEMPLATES, template), encoding="utf-8") as file:
            text = file.read().replace("{NAME}", name).replace("{PATH}", draft.script)
        try:
            if not create_exclusive(repo.at(path), text.encode()):
                raise UsageError(f"{path} exists already", "take another name")
        except BaseException:
            for other in made:
                remove(repo.at(other))
            raise
        made.append(path)
    if not draft.has_script:
        os.chmod(repo.at(draft.script), 0o755)


def remove_script(repo: Repo, draft: ScriptDraft) -> None:
    """Take back what `write_script` has made, because something after it has failed."""
    for path in draft.files:
        remove(repo.at(path))


def _folder(name: str) -> tuple[ScriptFolder, str]:
    text = name.removeprefix(f"{SCRIPTS}/")
    before, slash, stem = text.rpartition("/")
    wanted = before if slash else _WITH_SIDECAR[0].name
    found = next((folder for folder in _WITH_SIDECAR if folder.name == wanted), None)
    if found is None:
        raise UsageError(
            f"{printable(before)!r} is no folder of scripts with sidecars",
            "one of: " + ", ".join(folder.name for folder in _WITH_SIDECAR),
        )
    return found, stem.removesuffix(found.suffix)


def _check_inside(repo: Repo, folder: str) -> None:
    real, root = os.path.realpath(repo.at(folder)), os.path.realpath(repo.root)
    if os.path.relpath(real, root).split(os.sep)[0] in (os.pardir, ".git"):
        raise UsageError(
            f"{folder} leads out of the repository by a symbolic link", "remove the link"
        )
