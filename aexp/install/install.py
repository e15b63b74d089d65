"""``aexp install``: run store, marker, .gitignore block, workflow, profiles, a minimal kb."""

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any, NamedTuple

from aexp.errors import RepoNotFound, UsageError
from aexp.files import read_bytes, read_object, write_atomic
from aexp.install.gitignore import has_legacy_rule, merged
from aexp.model import check_machine_label
from aexp.paths import DEFAULT_STORE, MARKER, Repo, check_store_path, hostname
from aexp.runs.initialize import init_run_store
from aexp.version import __version__

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")


class InstallAction(NamedTuple):
    """One thing that ``install`` did, or would do.

    Attributes
    ----------
    kind : str
        ``copied``, ``skipped_identical``, ``preserved_user_modified``, ``updated``,
        ``merged_gitignore``, ``gitignore_migration_warning``, ``initialized_runs``,
        ``wrote_marker`` or ``unchanged``.
    path : str
        Relative to the repository.
    detail : str
        A word of explanation, where one is needed.
    """

    kind: str
    path: str
    detail: str = ""


def install_scaffold(
    repo_root: str | Path,
    *,
    run_store: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    machine_label: str | None = None,
) -> list[InstallAction]:
    """Set the repository at `repo_root` up; safe to call again at any time.

    Nothing that a user wrote is overwritten; `force` renews the tooling (workflow and
    profiles) only, keeping a copy of what was changed.

    Parameters
    ----------
    repo_root : str or Path
        The repository's top folder.
    run_store : str, optional
        Where the run store lies in the repository; default what it was, or ``.runs``.
    force : bool, default False
        Renew workflow and profiles.
    dry_run : bool, default False
        Only say what would be done.
    machine_label : str, optional
        This machine's name in ledger entries; default what it was, or the host name.

    Raises
    ------
    RepoNotFound
        If `repo_root` is not a git repository.
    UsageError
        If the label or the store's path is unusable, or the store would move.
    """
    root = os.path.abspath(repo_root)
    if not os.path.exists(os.path.join(root, ".git")):
        raise RepoNotFound(
            f"{root} is not a git repository", "run: git init    and then: aexp install"
        )
    previous = read_object(os.path.join(root, MARKER)) or {}
    store = _store(root, previous, run_store)
    actions = [
        *_copy_templates(root, force, dry_run),
        *_gitignore(root, store, dry_run),
        *_store_actions(root, store, dry_run),
    ]
    actions.append(_marker(root, previous, store, machine_label, dry_run))
    return actions


def is_scaffold_installed(repo_root: str | Path) -> bool:
    """Return whether the repository has been set up."""
    root = os.path.abspath(repo_root)
    return os.path.isfile(os.path.join(root, MARKER)) and os.path.isdir(os.path.join(root, "kb"))


def _store(root: str, previous: dict[str, Any], wanted: str | None) -> str:
    before = previous.get("run_store_path")
    store = check_store_path(wanted or before or DEFAULT_STORE, "--run-store")
    workspace = os.path.join(root, store, "workspace")
    if os.path.exists(workspace) and not os.path.isdir(workspace):
        raise UsageError(
            f"{os.path.relpath(workspace, root)} is a file, not a folder of runs",
            "move it away, then call install again",
        )
    if wanted is None or not isinstance(before, str) or check_store_path(before, MARKER) == store:
        return store
    old = os.path.join(root, before, "workspace")
    if os.path.isdir(old) and os.listdir(old):
        raise UsageError(
            f"the run store is {before} and holds runs; it cannot become {store} by itself",
            f"move it first: git mv {before} {store} (or mv), then call install again",
        )
    return store


def _templates() -> list[str]:
    found = []
    for folder, _, names in os.walk(TEMPLATES):
        found += [os.path.relpath(os.path.join(folder, name), TEMPLATES) for name in names]
    return sorted(name for name in found if not name.endswith(".pyc"))


def _copy_templates(root: str, force: bool, dry_run: bool) -> list[InstallAction]:
    actions = []
    for name in _templates():
        with open(os.path.join(TEMPLATES, name), "rb") as file:
            content = file.read()
        target = os.path.join(root, name)
        present = read_bytes(target)
        if present == content:
            actions.append(InstallAction("skipped_identical", name))
        elif present is None:
            actions.append(InstallAction("copied", name))
            if not dry_run:
                write_atomic(target, content)
        elif force and not name.startswith("kb" + os.sep):
            actions.append(InstallAction("updated", name, f"your version is now {name}.orig"))
            if not dry_run:
                write_atomic(target + ".orig", present)
                write_atomic(target, content)
        else:
            actions.append(InstallAction("preserved_user_modified", name))
    return actions


def _gitignore(root: str, store: str, dry_run: bool) -> list[InstallAction]:
    path = os.path.join(root, ".gitignore")
    text = (read_bytes(path) or b"").decode("utf-8", errors="surrogateescape")
    new = merged(text, store)
    actions = []
    if new != text:
        actions.append(InstallAction("merged_gitignore", ".gitignore"))
        if not dry_run:
            write_atomic(path, new.encode("utf-8", errors="surrogateescape"))
    if has_legacy_rule(text):
        actions.append(
            InstallAction(
                "gitignore_migration_warning",
                ".gitignore",
                "the line .aexp/ outside our block hides the ledger from git; remove it",
            )
        )
    return actions


def _store_actions(root: str, store: str, dry_run: bool) -> list[InstallAction]:
    if os.path.isfile(os.path.join(root, store, ".signac", "config")):
        return []
    if not dry_run:
        init_run_store(root, store)
    return [InstallAction("initialized_runs", store)]


def _marker(
    root: str, previous: dict[str, Any], store: str, label: str | None, dry_run: bool
) -> InstallAction:
    wanted = label or previous.get("machine_label") or hostname()
    marker = {
        **previous,
        "version": __version__,
        "run_store_path": store,
        "machine_label": check_machine_label(str(wanted)),
        "store_id": previous.get("store_id") or secrets.token_hex(8),
    }
    if marker == previous:
        return InstallAction("unchanged", MARKER)
    marker["installed_at"] = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    if not dry_run:
        data = json.dumps(marker, indent=2) + "\n"
        write_atomic(os.path.join(root, MARKER), data.encode())
        Repo(root).require_store()
    return InstallAction("wrote_marker", MARKER, f"machine label {marker['machine_label']}")
