"""``aexp init``: what ``install`` does, and the nine folders of scripts with their policy."""

import os
from pathlib import Path
from typing import Any

from aexp.environment.batch_helper import HELPER, helper_script
from aexp.errors import UsageError
from aexp.install.block import find_block, replace_block
from aexp.install.copy import copy_files, make_folders
from aexp.install.gitignore import NAME as IGNORE_FILE
from aexp.install.install import install_scaffold
from aexp.install.scaffold import ScaffoldFile
from aexp.install.target import InstallAction, Target
from aexp.paths import Repo
from aexp.preregistration.folders import FOLDERS, SCRIPTS
from aexp.project import CONFIG, check_slug, configured_slug, default_slug

BEGIN = "# aexp-scripts:begin"
END = "# aexp-scripts:end"
README = f"{SCRIPTS}/README.md"


def init_project(
    repo_root: str | Path, *, slug: str | None = None, dry_run: bool = False, **options: Any
) -> list[InstallAction]:
    """Set a repository up as `install_scaffold` does, and give it the folders of scripts.

    Safe to call again at any time: what is there already is left as it is.

    Parameters
    ----------
    repo_root : str or Path
        The repository's top folder.
    slug : str, optional
        The project's name among others, kept in ``aexp.toml``; default what that says, or the
        folder's name.
    dry_run : bool, default False
        Only say what would be done.
    **options
        As of `install_scaffold`.

    Raises
    ------
    UsageError
        If the slug is none, or ``aexp.toml`` says another one. Nothing has been written then.
    InstallRefused
        If something is in the way of a file or a folder.
    """
    root = os.path.abspath(repo_root)
    target = Target(root, dry_run=dry_run)
    config = _config(root, slug)
    files = [
        ScaffoldFile(README, _readme(), False),
        ScaffoldFile(HELPER, helper_script().encode(), True),
    ]
    folders = [folder.path for folder in FOLDERS]
    names = [CONFIG, *(file.name for file in files)]
    target.require_free([*names, *(os.path.join(folder, ".gitkeep") for folder in folders)])
    actions = install_scaffold(root, dry_run=dry_run, **options)
    if config is not None and target.is_ours(CONFIG):
        target.note("copied", CONFIG)
        target.write(CONFIG, config)
    copy_files(target, files, force=bool(options.get("force")))
    make_folders(target, [name for name in folders if name != os.path.dirname(HELPER)])
    _ignore(target)
    return [*actions, *target.actions]


def _config(root: str, slug: str | None) -> bytes | None:
    """Return the content of a new ``aexp.toml``, None when there is one that agrees."""
    if slug is not None:
        check_slug(slug)
    if os.path.lexists(os.path.join(root, CONFIG)):
        present = configured_slug(Repo(root))
        if slug is not None and slug != present:
            said = f"says project_slug = {present!r}" if present else "has no project_slug"
            raise UsageError(
                f"{CONFIG} {said}; it was not changed, nothing was written",
                f'write into it: project_slug = "{slug}"',
            )
        return None
    name = slug or default_slug(root)
    return f'# This repository as one project among others.\nproject_slug = "{name}"\n'.encode()


def _readme() -> bytes:
    words = {True: "yes", False: "no, ignored", None: "as you like"}
    sidecars = {"required": "required", "expected": "expected", None: ""}
    rows = "".join(
        f"| `{folder.name}/` | {folder.purpose} | `{folder.naming}{folder.suffix}` "
        f"| {words[folder.tracked]} | {sidecars[folder.sidecar]} |\n"
        for folder in FOLDERS
    )
    return (
        "# Scripts\n\n"
        "| folder | purpose | name | in git | sidecar |\n|---|---|---|---|---|\n"
        f"{rows}\n"
        "A sidecar, `train_model.aexp.toml` beside `train_model.py`, says before a run what its\n"
        "results will mean. `aexp new-experiment --script train_model` makes both,\n"
        "`aexp lint` checks all of this. Names that begin with `_` or `.` are helpers.\n"
    ).encode()


def _ignore(target: Target) -> None:
    """Add the block of rules to ``.gitignore``; one that is there is the user's by now."""
    if not target.is_ours(IGNORE_FILE):
        return
    text = target.read_text(IGNORE_FILE)
    if find_block(text, BEGIN, END) is not None:
        target.note("skipped_identical", IGNORE_FILE)
        return
    lines = ["# scripts that are not shared (to keep one all the same: git add -f)"]
    for folder in FOLDERS:
        if folder.tracked is False:
            lines += [f"/{folder.path}/*", f"!/{folder.path}/.gitkeep"]
    target.note("merged_gitignore", IGNORE_FILE, "rules for folders of scripts")
    target.write_text(IGNORE_FILE, replace_block(text, BEGIN, END, "\n".join([*lines, ""])))
