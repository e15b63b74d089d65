"""The command of a run whose record names none: the experiment's, with the run's values."""

import os

from aexp.errors import AexpError, NotReproducible
from aexp.execution.render import render_runner_command
from aexp.files import read_bytes
from aexp.git import run_git
from aexp.kb.experiments import Experiment, find_experiment
from aexp.kb.frontmatter import Document
from aexp.model import Run, short
from aexp.paths import Repo


def rendered_command(repo: Repo, run: Run, commit: str) -> tuple[str, str]:
    """Return the command that a run's experiment makes of its values, and a remark on it.

    The experiment's file is taken from the commit, else as it is now.

    Raises
    ------
    NotReproducible
        If the run belongs to no experiment that is known here, or that has no command.
    """
    override = run.queue.get("runner_command_override")
    if isinstance(override, str) and override:
        return render_runner_command(override, run.sp, run.job_id), "the command was not recorded"
    found = experiment_file(repo, run.experiment_id, commit)
    if found is None:
        raise NotReproducible(
            f"the command of run {short(run.job_id)} is not recorded, and its experiment "
            f"{run.experiment_id} is neither in commit {commit[:12]} nor here",
            "git pull brings the research record of other machines",
        )
    name, data, when = found
    document = Document(name, data.decode(errors="replace").removeprefix("\ufeff"))
    template = Experiment(str(run.experiment_id), name, document.meta).runner_command
    if template is None:
        raise NotReproducible(
            f"the command of run {short(run.job_id)} is not recorded, and {name} {when} has "
            "no runner_command",
            "a command given to queue add alone is kept where the run was executed",
        )
    command = render_runner_command(template, run.sp, run.job_id)
    return command, (
        f"the command is what {os.path.basename(name)} {when} says; whether the run was "
        "executed with it is not recorded here"
    )


def experiment_file(
    repo: Repo, experiment_id: str | None, commit: str
) -> tuple[str, bytes, str] | None:
    """Return the name, the content and the date, in words, of an experiment's file."""
    if experiment_id is None:
        return None
    folder = repo.relative(repo.experiments_dir)
    listed = run_git(repo, "ls-tree", "-z", "--name-only", f"{commit}:{folder}")
    for name in listed.names if listed.code == 0 else []:
        if name == f"{experiment_id}.md" or name.startswith(f"{experiment_id}-"):
            content = run_git(repo, "cat-file", "blob", f"{commit}:{folder}/{name}")
            if content.code == 0 and name.endswith(".md"):
                return os.path.join(folder, name), content.output, f"of commit {commit[:12]}"
    try:
        path = find_experiment(repo, experiment_id)
        return repo.relative(path), read_bytes(path) or b"", "as it is now"
    except AexpError:
        return None
