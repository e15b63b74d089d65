"""The scripts: how they are named, what git keeps of them, what their sidecars say."""

import os
from collections.abc import Iterable, Iterator

from aexp.git import run_git
from aexp.lint.problem import LintProblem
from aexp.paths import Repo
from aexp.preregistration.folders import FOLDERS, SCRIPTS, folder_of, is_script, name_fault
from aexp.preregistration.script import SUFFIX, sidecar_path
from aexp.preregistration.sidecar import read_sidecar

_NAMES = frozenset(folder.name for folder in FOLDERS)


def check_scripts(repo: Repo) -> Iterator[LintProblem]:
    """Return what is wrong with the scripts and sidecars of a repository."""
    files = dict.fromkeys(sorted(_files(repo)))
    tracked, ignored = _git(repo, "ls-files", "-z"), _ignored(repo)
    for path in files:
        if path.endswith(SUFFIX):
            continue
        folder = folder_of(path)
        if not is_script(repo.at(path)):
            continue
        if folder is None:
            yield from _elsewhere(path)
            continue
        fault = name_fault(folder, path.rpartition("/")[2])
        if fault is not None:
            yield LintProblem.of("script.name", path, fault)
        if folder.tracked is True and path in ignored:
            message = "git ignores it, though scripts of this folder are to be kept"
            yield LintProblem.of("script.ignored", path, message)
        if folder.tracked is False and path in tracked:
            message = f"git keeps it, though scripts of {folder.path}/ are not shared"
            yield LintProblem.of("script.tracked", path, message)
        if folder.sidecar is not None and sidecar_path(path) not in files:
            code = "sidecar.missing" if folder.sidecar == "required" else "sidecar.expected"
            yield LintProblem.of(code, path, f"it has no sidecar {sidecar_path(path)}")
    outside = (path for path in tracked if not path.startswith(SCRIPTS + "/"))
    sidecars = {path for path in (*files, *outside) if path.endswith(SUFFIX)}
    yield from check_sidecars(repo, sorted(sidecars))


def check_sidecars(repo: Repo, paths: Iterable[str]) -> Iterator[LintProblem]:
    """Return what is wrong with sidecars, key by key with its line."""
    for path in paths:
        if not os.path.lexists(repo.at(path)):
            continue  # git knows it, but it is gone here
        for problem in read_sidecar(repo, path).problems:
            yield LintProblem.of("sidecar.invalid", path, str(problem), problem.line)
        if not _has_script(repo, path):
            yield LintProblem.of("sidecar.orphan", path, "there is no script beside it")


def _elsewhere(path: str) -> Iterator[LintProblem]:
    parts = path.split("/")
    if len(parts) > 2 and parts[1] not in _NAMES and not any(p[:1] in "._" for p in parts[1:]):
        message = f"{SCRIPTS}/{parts[1]}/ is none of the folders that have rules"
        yield LintProblem.of("script.folder", path, message)


def _has_script(repo: Repo, path: str) -> bool:
    folder, name = os.path.split(repo.at(path))
    stem = name.removesuffix(SUFFIX)
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    others = (other for other in names if os.path.splitext(other)[0] == stem)
    return any(other != name and os.path.isfile(os.path.join(folder, other)) for other in others)


def _files(repo: Repo) -> Iterator[str]:
    """Return the files below ``scripts/``, without following links to folders."""
    for place, folders, names in os.walk(repo.at(SCRIPTS)):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            yield repo.relative(os.path.join(place, name)).replace(os.sep, "/")


def _git(repo: Repo, *arguments: str) -> set[str]:
    result = run_git(repo, *arguments)
    return set(result.names) if result.code == 0 else set()


def _ignored(repo: Repo) -> set[str]:
    options = ("--others", "--ignored", "--exclude-standard")
    return _git(repo, "ls-files", "-z", *options, "--", SCRIPTS)
