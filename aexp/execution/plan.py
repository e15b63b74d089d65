"""What one attempt executes: the experiment's template with the run's values in it."""

from typing import NamedTuple

from aexp.errors import AexpError, RunnerCommandMissing
from aexp.execution.render import render_runner_command
from aexp.kb.runner import Runner, load_runner
from aexp.model import Run, short
from aexp.paths import Repo

PRELUDE_VARIABLE = "AEXP_PRELUDE"
# A signal to the group reaches the shell, too. It must not die of it while what it executes
# saves its work: it waits for that, and ends with its exit code. Nothing further is executed.
_TRAPS = "".join(
    f"trap 'exit $(($? ? $? : {128 + number}))' {name}\n"
    for name, number in (("TERM", 15), ("INT", 2), ("HUP", 1))
)


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
    cwd : str or None
        The folder to execute it in; default the repository.
    reads_stdin : bool
        Whether the command gets the wrapper's standard input.
    is_script : bool
        Whether it is a batch script around others: a signal that only concerns it is not for
        the processes that it has started.
    runner : Runner or None
        What the experiment says, None when the run has none or it cannot be read.
    """

    arguments: list[str]
    command: str
    prelude: str | None = None
    cwd: str | None = None
    reads_stdin: bool = False
    is_script: bool = False
    runner: Runner | None = None


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
    if template is None and run.sp.get("kind") == "adhoc":
        return _plan_again(repo, run)
    prelude = None
    runner = None
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
        return Plan(["/bin/sh", "-c", _TRAPS + command], command, runner=runner)
    # The lines of a prelude must all succeed; the command then runs in the same shell. The
    # mark tells the machine's failure (no such module here) from the command's own.
    done = f'rm -f -- "${PRELUDE_VARIABLE}"; unset {PRELUDE_VARIABLE}'
    script = f"set -e\n{prelude}\n{done}\nset +e\n{_TRAPS}{command}"
    return Plan(["bash", "-c", script], command, prelude, runner=runner)


def _plan_again(repo: Repo, run: Run) -> Plan:
    """Return the plan of an ad-hoc run that a person has queued again."""
    from aexp.runs.adhoc import command_text, recorded_command

    recorded = recorded_command(run)
    if recorded is None:
        raise RunnerCommandMissing(
            f"run {short(run.job_id)} was executed by a function of a program, not by a command",
            "call the program again: that is a run of its own",
        )
    argv, cwd = recorded
    return Plan(argv, command_text(argv, cwd), cwd=repo.at(cwd))
