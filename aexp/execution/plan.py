"""What one attempt executes: the experiment's template with the run's values in it."""

from typing import NamedTuple

from aexp.errors import AexpError, RunnerCommandMissing
from aexp.execution.render import render_runner_command
from aexp.kb.experiments import load_experiment
from aexp.model import Run, short
from aexp.paths import Repo


class Plan(NamedTuple):
    """What one attempt executes.

    Attributes
    ----------
    arguments : list of str
        The shell and its script.
    command : str
        The rendered command, for the record.
    """

    arguments: list[str]
    command: str


def plan_command(repo: Repo, run: Run) -> Plan:
    """Render the command that executes a run, from the experiment's file as it is now.

    Raises
    ------
    RunnerCommandMissing
        If neither the run nor its experiment names a command.
    RunnerCommandError
        If the run's values cannot be inserted safely.
    """
    override = run.queue.get("runner_command_override")
    template = override if isinstance(override, str) and override else None
    prelude = None
    if run.experiment_id is not None:
        try:
            experiment = load_experiment(repo, run.experiment_id)
            template = template or experiment.runner_command
            prelude = experiment.prelude
        except AexpError:
            if template is None:
                raise
    if template is None:
        raise RunnerCommandMissing(
            f"run {short(run.job_id)} has no command: experiment {run.experiment_id} has no "
            "runner_command",
            "add runner_command to the experiment's frontmatter, or queue with --command",
        )
    command = render_runner_command(template, run.sp, run.job_id)
    if prelude is None:
        return Plan(["/bin/sh", "-c", command], command)
    # The lines of a prelude must all succeed; the command then runs in the same shell.
    return Plan(["bash", "-c", f"set -e\n{prelude}\nset +e\n{command}"], command)
