"""What one attempt executes: the experiment's template with the run's values in it."""

from typing import NamedTuple

from aexp.errors import AexpError, RunnerCommandMissing
from aexp.execution.render import render_runner_command
from aexp.kb.runner import load_runner
from aexp.model import Run, short
from aexp.paths import Repo

PRELUDE_VARIABLE = "AEXP_PRELUDE"


class Plan(NamedTuple):
    """What one attempt executes.

    Attributes
    ----------
    arguments : list of str
        The shell and its script.
    command : str
        The rendered command, for the record.
    prelude : str or None
        Lines of the experiment's that run before it. They remove the file that
        ``AEXP_PRELUDE`` names when all have succeeded.
    """

    arguments: list[str]
    command: str
    prelude: str | None = None


def plan_command(repo: Repo, run: Run, *, remember: bool = False) -> Plan:
    """Render the command that executes a run, from the experiment's file as it is now.

    Parameters
    ----------
    repo : Repo
        The repository.
    run : Run
        The run.
    remember : bool, default False
        Whether what was read from the experiment may be cached (see `load_runner`).

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
            runner = load_runner(repo, run.experiment_id, remember=remember)
            template = template or runner.command
            prelude = runner.prelude
        except AexpError:
            if template is None:
                raise
    recorded = run.queue.get("prelude_override")  # of a reproduction
    if isinstance(recorded, str):
        prelude = recorded
    if template is None:
        raise RunnerCommandMissing(
            f"run {short(run.job_id)} has no command: experiment {run.experiment_id} has no "
            "runner_command",
            "add runner_command to the experiment's frontmatter, or queue with --command",
        )
    command = render_runner_command(template, run.sp, run.job_id)
    if prelude is None:
        return Plan(["/bin/sh", "-c", command], command)
    # The lines of a prelude must all succeed; the command then runs in the same shell. The
    # mark tells the machine's failure (no such module here) from the command's own.
    done = f'rm -f -- "${PRELUDE_VARIABLE}"; unset {PRELUDE_VARIABLE}'
    return Plan(["bash", "-c", f"set -e\n{prelude}\n{done}\nset +e\n{command}"], command, prelude)
