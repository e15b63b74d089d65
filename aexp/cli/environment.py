"""``aexp env``: what runs were executed in, and what differs."""

import os
import sys
from typing import Any

import click

from aexp.cli.options import json_option
from aexp.cli.output import note, print_json, print_table
from aexp.errors import EXIT_USAGE, AexpError, UsageError
from aexp.model import Run, printable, short
from aexp.paths import Repo

_DIFFERENT = 1


@click.group("env")
def env() -> None:
    """Show what an attempt was executed in, compare two, work in one again.

    \b
    Example:
      aexp env diff 9f3a1b2c 0c41d2aa
    """


@env.command("show")
@click.argument("job", metavar="ID[@N]")
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Default: the last one.")
@click.option("--packages", is_flag=True, help="List every package, too.")
@json_option
def show(job: str, attempt: int | None, packages: bool, as_json: bool) -> None:
    """Show Python, code, machine and variables of an attempt.

    \b
    Examples:
      aexp env show 9f3a1b2c
      aexp env show 9f3a1b2c@1 --json
    """
    job, named = _with_attempt(job)
    if None not in (attempt, named) and attempt != named:
        raise UsageError(f"attempt {named} or attempt {attempt}?", f"write it like {job}@{named}")
    _, run, number, content = _recorded(job, named or attempt)
    if as_json:
        print_json(content)
        return
    from aexp.environment.compare import as_text, groups_of

    click.echo(
        f"run {short(run.job_id)}, attempt {number}, "
        f"recorded {printable(content.get('recorded_at', 'at an unknown time'))}"
    )
    rows: list[list[str]] = []
    for group, facts in groups_of(content).items():
        if group in ("packages", "conda") and not packages:
            if facts:
                rows.append([group, "number", str(len(facts))])
            continue
        rows += [
            [group if index == 0 else "", "" if name == group else name, as_text(value)]
            for index, (name, value) in enumerate(facts.items())
        ]
    left_out = content.get("variables_left_out")
    if isinstance(left_out, dict):
        for what, names in left_out.items():
            if isinstance(names, list) and names:
                rows.append(["left out", what.replace("_", " "), " ".join(map(str, names))])
    problems = content.get("problems")
    for problem in problems if isinstance(problems, list) else []:
        rows.append(["problem", "", str(problem)])
    print_table(["GROUP", "WHAT", "VALUE"], rows)


@env.command("diff")
@click.argument("one", metavar="ID[@N]")
@click.argument("other", metavar="ID[@N]")
@json_option
def diff(one: str, other: str, as_json: bool) -> None:
    """Show what differs between the environments of two runs, or of two attempts of one.

    The last recorded attempt is compared, unless the id says which: 9f3a1b2c@2. Ids, times
    and the scheduler's numbers are left out. Exit code 0: the same, 1: something differs,
    2: cannot be compared.

    \b
    Examples:
      aexp env diff 9f3a1b2c 0c41d2aa
      aexp env diff 9f3a1b2c@1 9f3a1b2c@2 --json
    """
    from aexp.environment.compare import as_text, differences

    try:
        _, run_a, number_a, a = _recorded(*_with_attempt(one))
        _, run_b, number_b, b = _recorded(*_with_attempt(other))
    except AexpError as error:
        error.exit_code = EXIT_USAGE
        raise
    found = differences(a, b)
    names = [f"{short(run_a.job_id)}@{number_a}", f"{short(run_b.job_id)}@{number_b}"]
    if as_json:
        runs = [
            {"job_id": r.job_id, "attempt": n} for r, n in ((run_a, number_a), (run_b, number_b))
        ]
        print_json({"compared": runs, "same": not found, "differences": found})
    elif found:
        rows = [
            ("" if index else group, name, as_text(then), as_text(now))
            for group, changed in found.items()
            for index, (name, (then, now)) in enumerate(changed.items())
        ]
        print_table(["GROUP", "WHAT", *names], rows)
    else:
        note("no difference")
    if found:
        sys.exit(_DIFFERENT)


@env.command("shell", context_settings={"ignore_unknown_options": True})
@click.argument("job", metavar="[ID[@N]]", required=False)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
def shell(job: str | None, command: tuple[str, ...]) -> None:
    """Open a shell in the repository with a run's variables, or execute one command in it.

    Without an ID: print the helper that a hand-written batch script sources, to be recorded
    as a run. aexp init writes the same text to scripts/slurm/_aexp_env.sh.

    The recorded variables are set, and the run's own AEXP_*; metrics go to a file of their
    own, so that the run's results stay. Nothing is installed or checked out: what differs
    from then is said. The exit code is the shell's, or the command's.

    \b
    Examples:
      aexp env shell 9f3a1b2c
      aexp env shell 9f3a1b2c -- python train.py --steps 10
      aexp env shell > scripts/slurm/_aexp_env.sh
    """
    if job is None:
        from aexp.environment.batch_helper import helper_script

        click.echo(helper_script(), nl=False)
        return
    from aexp.environment.compare import changed_packages
    from aexp.environment.shell import shell_environment

    repo, run, number, content = _recorded(*_with_attempt(job))
    given = shell_environment(repo, run, number, content, os.environ)
    _tell_differences(changed_packages(repo, content), f"{short(run.job_id)}@{number}")
    if given.missing:
        note(f"not recorded, so not set: {' '.join(given.missing)}")
    program = command or (os.environ.get("SHELL") or "/bin/sh",)
    if not command and sys.stdin is not None and sys.stdin.isatty():
        note(f"attempt {number} of run {short(run.job_id)}; leave the shell with: exit")
    os.chdir(repo.root)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(program[0], list(program), given.variables)
    except OSError as error:
        raise UsageError(
            f"cannot execute {printable(program[0])}: {error.strerror or error}",
            "give a program that is here: aexp env shell ID -- COMMAND",
        ) from None


def _tell_differences(found: dict[str, dict[str, Any]], name: str) -> None:
    from aexp.environment.compare import as_text

    if not found:
        note("Python and packages are as they were recorded")
        return
    count = sum(map(len, found.values()))
    note(f"{count} of Python, packages and lock files differ from then:")
    shown = [(n, then, now) for changed in found.values() for n, (then, now) in changed.items()]
    for what, then, now in shown[:20]:
        note(f"  {printable(what)}: {as_text(then)} then, {as_text(now)} now")
    if count > 20:
        note(f"  and {count - 20} more: aexp env show {name} --packages")


def _with_attempt(text: str) -> tuple[str, int | None]:
    job, at, number = text.partition("@")
    if not at:
        return job, None
    if not (number.isascii() and number.isdigit() and int(number) > 0):
        raise UsageError(
            f"{text!r}: {number!r} is not the number of an attempt", f"write it like {job}@2"
        )
    return job, int(number)


def _recorded(job: str, attempt: int | None) -> tuple[Repo, Run, int, dict[str, Any]]:
    """Return an attempt's record; what is odd about its file is said on stderr."""
    from aexp.environment.record import read_environment, recorded_attempts
    from aexp.runs.store import read_run, resolve_id

    repo = Repo.installed()
    run = read_run(repo, resolve_id(repo, job))
    content = read_environment(repo, run, attempt)
    number = attempt or recorded_attempts(repo, run.job_id)[-1]
    return repo, run, number, content
