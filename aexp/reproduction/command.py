"""An experiment's file as it was, and the command that it makes of a run's values."""

import os
from typing import NamedTuple

from aexp.errors import AexpError, NotReproducible
from aexp.execution.render import render_runner_command
from aexp.files import read_bytes
from aexp.git import run_git
from aexp.kb.experiments import Experiment, find_experiment
from aexp.kb.frontmatter import Document
from aexp.model import short
from aexp.paths import Repo
from aexp.reproduction.attempt import Recorded
from aexp.runs.adhoc import command_text, is_adhoc, recorded_command


class ExperimentFile(NamedTuple):
    """The file of an experiment.

    Attributes
    ----------
    name : str
        Its path relative to the repository.
    data : bytes
        Its content.
    version : str
        Which one it is, in words.
    """

    name: str
    data: bytes
    version: str

    def experiment(self, experiment_id: str) -> Experiment:
        """Return what the file declares."""
        text = self.data.decode(errors="replace").removeprefix("\ufeff")
        return Experiment(experiment_id, self.name, Document(self.name, text).meta)


def rendered_command(repo: Repo, recorded: Recorded) -> tuple[str, str]:
    """Return the command that a run's experiment makes of its values, and a remark on it.

    Raises
    ------
    NotReproducible
        If the run belongs to no experiment that is known here, or that has no command; of an
        ad-hoc run, if its command held a secret.
    """
    run = recorded.run
    if is_adhoc(run):
        own = recorded_command(run)
        if own is None:
            raise NotReproducible(
                f"how run {short(run.job_id)} was executed is not recorded here",
                "reproduce it on the machine that has executed it",
            )
        return command_text(*own), "the command is the one in its state point"
    override = run.queue.get("runner_command_override")
    if isinstance(override, str) and override:
        command = render_runner_command(override, run.sp, run.job_id)
        return command, "the command is the one that the run was queued with"
    found = experiment_file(repo, recorded)
    if found is None:
        raise NotReproducible(
            f"the command of run {short(run.job_id)} is not recorded, and its experiment "
            f"{run.experiment_id} is not known here",
            "git pull brings the research record of other machines",
        )
    template = found.experiment(str(run.experiment_id)).runner_command
    if template is None:
        raise NotReproducible(
            f"the command of run {short(run.job_id)} is not recorded, and {found.name} "
            f"{found.version} has no runner_command",
            "a command given to queue add is recorded where the run was executed",
        )
    command = render_runner_command(template, run.sp, run.job_id)
    return command, (
        f"the command is what {os.path.basename(found.name)} {found.version} says; whether "
        "the run was executed with it is not recorded here"
    )


def experiment_file(repo: Repo, recorded: Recorded) -> ExperimentFile | None:
    """Return an experiment's file as it was committed when the attempt started, else as it is."""
    experiment_id = recorded.run.experiment_id
    if experiment_id is None:
        return None
    folder = repo.relative(repo.experiments_dir)
    commit = recorded.code.commit
    if not recorded.code.is_head:
        # Notes change without changing the code: this commit may be older than the queueing.
        commit = _last_before(repo, recorded, f"{folder}/{experiment_id}") or commit
    listed = run_git(repo, "ls-tree", "-z", "--name-only", f"{commit}:{folder}")
    for name in listed.names if listed.code == 0 else []:
        is_it = name == f"{experiment_id}.md" or name.startswith(f"{experiment_id}-")
        if is_it and name.endswith(".md"):
            content = run_git(repo, "cat-file", "blob", f"{commit}:{folder}/{name}")
            if content.code == 0:
                path = os.path.join(folder, name)
                return ExperimentFile(path, content.output, f"of commit {commit[:12]}")
    try:
        path = find_experiment(repo, experiment_id)
        return ExperimentFile(repo.relative(path), read_bytes(path) or b"", "as it is now")
    except AexpError:
        return None


def _last_before(repo: Repo, recorded: Recorded, stem: str) -> str | None:
    """Return the last commit of an experiment's file before the attempt started."""
    when = recorded.facts.get("started_at") or recorded.run.doc.get("queued_at")
    if not isinstance(when, str):
        return None
    done = run_git(
        repo,
        *("log", "-1", "--format=%H", f"--until={when}", "HEAD", recorded.code.commit),
        *("--", f":(top,glob){stem}-*.md", f":(top,literal){stem}.md"),
    )
    return done.text or None if done.code == 0 else None
