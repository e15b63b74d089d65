"""What is recorded of the attempt that is to be reproduced, from wherever it is recorded."""

from typing import Any, NamedTuple

from aexp.environment.record import read_environment
from aexp.errors import AexpError, ArtifactNotFound, NotReproducible, RunNotFound
from aexp.files import read_bytes
from aexp.ledger.entries import load_ledger_entry, resolve_entry_id
from aexp.ledger.projection import final_metrics, flat_numbers
from aexp.model import RUNNING, Run, section, short
from aexp.paths import Repo
from aexp.reproduction.by_hand import command_by_hand
from aexp.reproduction.code import Code, bring_hint, queued_code, recorded_code, unborn_hint
from aexp.runs.store import compute_job_id, read_intact_run, resolve_id

RUN, LEDGER = "run", "ledger"
SCRIPT = "command.sh"
# Sourced, not started: the recorded command runs in the very shell that it ran in before,
# and none of its braces is a placeholder.
SOURCED = f'. "$AEXP_JOB_WORKSPACE/{SCRIPT}"'


class Recorded(NamedTuple):
    """One attempt of a run, and what is known of it.

    Attributes
    ----------
    job_id : str
        The run.
    run : Run
        Its state point and document; from the ledger alone only what an entry has.
    origin : str
        ``run`` or ``ledger``.
    attempt : int or None
        Which attempt; None when the record names none.
    facts : dict
        What is recorded of it: ``status``, ``started_at``, ``host``, …
    code : Code
        What it executed.
    command : str or None
        The command as it was rendered then.
    metrics : dict
        Its final numbers.
    environment : dict or None
        The snapshot of its environment.
    unknown : tuple of str
        What cannot be known about it.
    """

    job_id: str
    run: Run
    origin: str
    attempt: int | None
    facts: dict[str, Any]
    code: Code
    command: str | None
    metrics: dict[str, Any]
    environment: dict[str, Any] | None
    unknown: tuple[str, ...]


def recorded_attempt(repo: Repo, text: str, attempt: int | None = None) -> Recorded:
    """Return what is recorded of an attempt, by default the last one.

    Parameters
    ----------
    repo : Repo
        The repository.
    text : str
        A run's id or the beginning of one; the run lies here or in the ledger alone.
    attempt : int, optional
        The attempt's number.

    Raises
    ------
    NotReproducible
        If the run has not been executed, or its code is not known.
    RunNotFound
        If there is no such run or attempt.
    """
    try:
        run = read_intact_run(repo, resolve_id(repo, text))
    except RunNotFound as error:
        try:
            return _from_ledger(repo, resolve_entry_id(repo, text.strip().lower()), attempt)
        except RunNotFound:
            raise error from None
    if not run.attempts:
        if load_ledger_entry(repo, run.job_id) is not None:
            return _from_ledger(repo, run.job_id, attempt)
        raise NotReproducible(
            f"run {short(run.job_id)} is {run.status} and has not been executed by aexp",
            f"execute it: aexp run-queued {short(run.job_id)}",
        )
    return _from_run(repo, run, attempt)


def _from_run(repo: Repo, run: Run, attempt: int | None) -> Recorded:
    facts, is_last = _choose(run.job_id, run.attempts, attempt)
    number = facts.get("attempt")
    unknown: list[str] = []
    environment = _environment(repo, run, number, unknown)
    code = section(environment or {}, "code")
    if code.get("commit"):
        found = recorded_code(repo, run.job_id, number, code, unknown)
    elif code.get("commit", "") is None and "problem" not in code:
        raise NotReproducible(
            f"attempt {number} of run {short(run.job_id)} ran before the repository's first "
            "commit: there is nothing to check out",
            unborn_hint(repo, run.job_id, number),
        )
    else:
        found = queued_code(repo, run, facts, unknown)
    command = facts.get("command")
    if command == SOURCED:  # itself a reproduction
        command = (read_bytes(repo.run_file(run.job_id, SCRIPT)) or b"").decode(
            errors="surrogateescape"
        )
    if "by_hand" in facts or not command:
        command = command_by_hand(repo, run.job_id, facts, unknown)
    if facts.get("status") == RUNNING:
        unknown.append("the attempt is still running: its metrics are not final")
    return Recorded(
        run.job_id,
        run,
        RUN,
        number if isinstance(number, int) else None,
        facts,
        found,
        command if isinstance(command, str) and command else None,
        final_metrics(run) if is_last else flat_numbers(section(facts, "metrics")),
        environment,
        tuple(unknown),
    )


def _from_ledger(repo: Repo, job_id: str, attempt: int | None) -> Recorded:
    entry = load_ledger_entry(repo, job_id)
    if entry is None:
        raise NotReproducible(
            f"the ledger entry of run {short(job_id)} cannot be read",
            "see: aexp ledger verify",
        )
    sp, machine = entry["statepoint"], entry.get("registered_machine") or "another machine"
    if compute_job_id(sp) != job_id:
        raise NotReproducible(
            f"the state point in the ledger entry of run {short(job_id)} was changed",
            "see: aexp ledger verify",
        )
    listed = entry.get("attempts")
    attempts = [item for item in listed if isinstance(item, dict)] if listed else []
    if attempts or attempt is not None:
        facts, is_last = _choose(job_id, attempts, attempt)
    else:
        facts = {key: entry.get(key) for key in ("status", "started_at")}
        is_last = True
    bring = bring_hint(repo, job_id, machine)
    if facts.get("by_hand"):
        raise NotReproducible(
            f"run {short(job_id)} was executed by hand; how is recorded on {machine} alone", bring
        )
    commit = sp.get("code_commit")
    if not isinstance(commit, str) or not commit:
        raise NotReproducible(
            f"run {short(job_id)} was queued without a code version, and its folder is on "
            f"{machine}: which commit it executed is not known here",
            bring,
        )
    if sp.get("code_dirty"):
        raise NotReproducible(
            f"run {short(job_id)} executed commit {commit[:12]} with changes that were not "
            f"committed; they are known on {machine} alone",
            bring,
        )
    unknown = [
        f"the run's folder is on {machine}: its state point names the commit, and that nothing "
        "was uncommitted when the run was queued; whether that still held when the attempt "
        "started is not known here",
        f"the attempt's packages and Python version are recorded on {machine} alone",
    ]
    run = Run(
        job_id,
        sp,
        {
            "aexp": section(entry, "run_link"),
            "status": entry["status"],
            "queued_at": entry.get("queued_at"),
            "aexp_run": {},
        },
    )
    for key in ("resources", "after"):
        if entry.get(key):
            run.record[key] = entry[key]
    number = facts.get("attempt")
    metrics = section(entry, "metrics") if is_last else section(facts, "metrics")
    return Recorded(
        job_id,
        run,
        LEDGER,
        number if isinstance(number, int) else None,
        {"host": machine, **facts},
        Code(commit),
        None,
        metrics,
        None,
        tuple(unknown),
    )


def _choose(
    job_id: str, attempts: list[dict[str, Any]], number: int | None
) -> tuple[dict[str, Any], bool]:
    if number is None:
        return attempts[-1], True
    for item in attempts:
        if item.get("attempt") == number:
            return item, item is attempts[-1]
    there = ", ".join(str(item.get("attempt")) for item in attempts) or "none"
    raise RunNotFound(f"run {short(job_id)} has no attempt {number}", f"its attempts: {there}")


def _environment(repo: Repo, run: Run, number: object, unknown: list[str]) -> dict[str, Any] | None:
    try:
        return read_environment(repo, run, number if isinstance(number, int) else None)
    except ArtifactNotFound:
        if not section(_facts_of(run, number), "environment"):
            unknown.append("the attempt's packages and Python version were not recorded")
    except AexpError as error:
        unknown.append(f"the environment's record cannot be read: {error.message}")
    return None


def _facts_of(run: Run, number: object) -> dict[str, Any]:
    return next((item for item in run.attempts if item.get("attempt") == number), {})
