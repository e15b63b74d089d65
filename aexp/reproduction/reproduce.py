"""Run a recorded attempt again: say how, make the place for it, execute it, compare."""

import os
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from aexp.errors import EXIT_FAILED, EXIT_OK, EXIT_TEMPFAIL, UsageError
from aexp.model import printable, short
from aexp.paths import Repo
from aexp.reproduction.attempt import Recorded, recorded_attempt
from aexp.reproduction.command import rendered_command
from aexp.reproduction.compare import Comparison, compare
from aexp.reproduction.differences import differences, present_python
from aexp.reproduction.prepare import prepare, queue_line
from aexp.reproduction.surroundings import few, link_files, links_to_original, not_in_git
from aexp.reproduction.worktree import check_folder, new_worktree, require_commit
from aexp.runs.adhoc import is_adhoc, recorded_command

if TYPE_CHECKING:
    from pathlib import Path


class Reproduction(NamedTuple):
    """A recorded attempt, and what it takes to run it again.

    Attributes
    ----------
    recorded : Recorded
        What is known of the attempt.
    command : str
        What to execute, exactly as it was executed.
    remarks : tuple of str
        What cannot be known, and what is not as it was.
    differences : list of dict
        ``name``, ``then`` and ``now`` of everything in the environment that differs.
    directory : str or None
        The worktree, when one was made or would be.
    made : bool
        Whether it was made.
    comparison : Comparison or None
        The result, when the run was executed.
    exit_code : int
        0; 1 when the numbers or the end differ; 75 when the run was interrupted.
    """

    recorded: Recorded
    command: str
    remarks: tuple[str, ...]
    differences: list[dict[str, Any]]
    directory: str | None = None
    made: bool = False
    comparison: Comparison | None = None
    exit_code: int = EXIT_OK

    @property
    def commands(self) -> list[str]:
        """What a person would type to have the same by hand."""
        code = self.recorded.code
        place = shlex.quote(self.directory or "DIR")
        lines = [f"git worktree add --detach {place} {code.commit}"]
        if code.patch_path:
            patch = shlex.quote(code.patch_path)
            lines.append(f"git -C {place} apply --whitespace=nowarn {patch}")
        prelude = self.recorded.facts.get("prelude")
        before = [prelude] if isinstance(prelude, str) else []
        return [*lines, f"cd {place}", *before, self.command]

    @property
    def next(self) -> str | None:
        """What to type to execute the run in the worktree."""
        return queue_line(self.directory, self.recorded.job_id) if self.directory else None

    def as_data(self) -> dict[str, Any]:
        """Return all of it for a program."""
        recorded, code = self.recorded, self.recorded.code
        return {
            "job_id": recorded.job_id,
            "attempt": recorded.attempt,
            "origin": recorded.origin,
            "status": recorded.facts.get("status"),
            "commit": code.commit,
            "branch": code.branch,
            "remote": code.remote,
            "patch": {"path": code.patch_path, "size": len(code.patch)} if code.patch else None,
            "left_out": code.left_out,
            "submodules": code.submodules,
            "command": self.command,
            "commands": self.commands,
            "remarks": list(self.remarks),
            "differences": self.differences,
            "directory": self.directory,
            "made": self.made,
            "next": self.next,
            "comparison": self.comparison.as_data() if self.comparison else None,
        }


def plan_reproduction(
    job_id: str,
    *,
    attempt: int | None = None,
    repo_root: "str | Path | Repo | None" = None,
) -> Reproduction:
    """Return how a run can be reproduced; nothing is written.

    Parameters
    ----------
    job_id : str
        The run's id or a unique beginning of it. Its ledger entry suffices when it holds
        enough: a commit without uncommitted changes.
    attempt : int, optional
        Which attempt; default the last.
    repo_root : str, Path or Repo, optional
        Default: the repository around the current folder.

    Raises
    ------
    NotReproducible
        If what is recorded and present does not suffice.
    """
    repo = _repo(repo_root)
    recorded = recorded_attempt(repo, job_id, attempt)
    require_commit(repo, recorded.code)
    if is_adhoc(recorded.run):
        recorded_command(recorded.run)  # refuses one that held a secret
    remarks = list(recorded.unknown)
    command = recorded.command
    if command is None:
        command, remark = rendered_command(repo, recorded)
        remarks.append(remark)
    python = present_python(repo, command)
    remarks += links_to_original(repo, command, python)
    if recorded.run.after:
        parents = ", ".join(short(parent) for parent in recorded.run.after)
        remarks.append(f"it ran after {parents}: what it read of theirs is not in the worktree")
    return Reproduction(
        recorded,
        command,
        tuple(map(printable, remarks)),
        differences(recorded.environment, python),
    )


def reproduce(
    job_id: str,
    to: "str | Path",
    *,
    attempt: int | None = None,
    link: tuple[str, ...] = (),
    run: bool = False,
    dry_run: bool = False,
    repo_root: "str | Path | Repo | None" = None,
) -> Reproduction:
    """Make a worktree in which a run can be executed again as it was, and do so.

    Parameters
    ----------
    job_id : str
        The run's id or a unique beginning of it.
    to : str or Path
        A new or empty folder outside the repository.
    attempt : int, optional
        Which attempt; default the last.
    link : tuple of str
        Files or folders of the repository that git does not have, to be linked to.
    run : bool, default False
        Execute it and compare its final numbers.
    dry_run : bool, default False
        Only check and say.
    repo_root : str, Path or Repo, optional
        Default: the repository around the current folder.

    Raises
    ------
    NotReproducible
        If what is recorded and present does not suffice. Nothing is left behind.
    UsageError
        If the folder cannot be used.
    """
    repo = _repo(repo_root)
    plan = plan_reproduction(job_id, attempt=attempt, repo_root=repo)
    path = check_folder(repo, os.fspath(to))
    unlinked = [
        name for name in not_in_git(repo, plan.command) if name.rstrip("/") not in _plain(link)
    ]
    remarks = list(plan.remarks)
    if unlinked:
        remarks.append(
            f"git ignores these, so the worktree lacks them: {few(unlinked)}; "
            "give what the command reads with --link PATH"
        )
    if dry_run:
        return plan._replace(directory=path, remarks=tuple(remarks))
    with new_worktree(repo, path, plan.recorded.code) as missing:
        link_files(repo, path, link)
        missing += prepare(repo, path, plan.recorded, plan.command)
    made = plan._replace(directory=path, made=True, remarks=(*remarks, *map(printable, missing)))
    return execute(made) if run else made


def execute(made: Reproduction) -> Reproduction:
    """Execute a prepared run and compare it with the original."""
    from aexp.execution.run import run_queued
    from aexp.runs.store import read_run

    if made.directory is None:
        raise UsageError("nothing was made", "call reproduce")
    repo, job_id = Repo(made.directory), made.recorded.job_id
    code = run_queued(job_id, repo_root=repo)
    if code == EXIT_TEMPFAIL:
        return made._replace(exit_code=code)
    comparison = compare(made.recorded, read_run(repo, job_id))
    return made._replace(
        comparison=comparison, exit_code=EXIT_OK if comparison.equal else EXIT_FAILED
    )


def _repo(repo_root: "str | Path | Repo | None") -> Repo:
    return repo_root if isinstance(repo_root, Repo) else Repo.find(repo_root)


def _plain(names: tuple[str, ...]) -> set[str]:
    return {os.path.normpath(name) for name in names}
