"""How far a running run is: what its code has said last, and the newest numbers it logged."""

import json
from typing import Any, NamedTuple

from aexp.files import read_end
from aexp.ledger.projection import flat_numbers
from aexp.model import RUNNING, Run, epoch, utc_at
from aexp.numbers import finite_or_none
from aexp.paths import METRICS, PROGRESS, SERIES, Repo
from aexp.runs.series import parse_lines

# The newest rows are enough, unless a single one is longer.
_TAILS = (1 << 15, 1 << 20)
_MAX_MESSAGE = 200
# Times of documents are whole seconds.
_TIME_STEP_S = 1.0


class Progress(NamedTuple):
    """What is known about a run while it is executed.

    Attributes
    ----------
    fraction : float or None
        How much is done, 0 to 1: what the code has said, else `step` of `total`.
    step, total : int, float or None
        The step that the code has reached, and of how many.
    message : str or None
        What it is doing.
    at : float or None
        When it said so, in seconds since 1970.
    metrics : dict
        Names and newest values of what it has logged lately; nested names are dotted.
    """

    fraction: float | None = None
    step: int | float | None = None
    total: int | float | None = None
    message: str | None = None
    at: float | None = None
    metrics: dict[str, Any] = {}  # noqa: RUF012  (never mutated)


def run_progress(repo: Repo, run: Run) -> Progress | None:
    """Return how far a run is, None unless it is running."""
    if run.status != RUNNING:
        return None
    attempt, began = last_start(run)
    return read_progress(repo, run.job_id, attempt=attempt, since=began)


def last_start(run: Run) -> tuple[int | None, float]:
    """Return the number of a run's last attempt, and when it began (0.0 when unknown)."""
    last = run.attempts[-1] if run.attempts else {}
    number = last.get("attempt")
    began = epoch(last.get("started_at") or run.doc.get("started_at"))
    return number if isinstance(number, int) else None, began


def read_progress(
    repo: Repo, job_id: str, *, attempt: int | None = None, since: float = 0.0
) -> Progress:
    """Read a run's progress file and the end of what it logs: a few small reads.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        A run that is executed now; for an ended one `final_metrics` knows the numbers.
    attempt : int, optional
        The attempt that is executed; rows of others are left out.
    since : float, default 0.0
        When it began; what was said before is left out.
    """
    said = _said(repo.run_file(job_id, PROGRESS))
    at = finite_or_none(said.get("at"))
    if at is None:
        at = epoch(said.get("at")) or None
    if at is not None and at < since - _TIME_STEP_S:
        said, at = {}, None
    metrics, logged_step = _logged(repo, job_id, attempt)
    step, total = finite_or_none(said.get("step")), finite_or_none(said.get("total"))
    if step is None:
        step = logged_step
    if total is not None and total <= 0:
        total = None
    message = said.get("message")
    return Progress(
        _fraction(finite_or_none(said.get("fraction")), step, total),
        step,
        total,
        _clean(message)[:_MAX_MESSAGE] if isinstance(message, str) and message else None,
        at,
        metrics,
    )


def remaining_s(progress: Progress, began: float, fraction_then: float = 0.0) -> float | None:
    """Return the seconds that are left at the pace kept since `began`, None when unknown.

    Parameters
    ----------
    progress : Progress
        What is known now.
    began : float
        A moment by the clock of the run's host, in seconds since 1970.
    fraction_then : float, default 0.0
        How much was done at that moment.
    """
    if progress.fraction is None or progress.at is None:
        return None
    done, spent = progress.fraction - fraction_then, progress.at - began
    if done <= 0 or spent <= 0:
        return None
    return spent * (1 - progress.fraction) / done


def first_remaining_s(run: Run, progress: Progress) -> float | None:
    """Return the seconds that are left by the whole attempt's pace.

    Of a later attempt that is not known: it may have begun where an earlier one was.
    """
    number, began = last_start(run)
    return remaining_s(progress, began) if began and number in (None, 1) else None


def progress_facts(repo: Repo, run: Run) -> dict[str, Any] | None:
    """Return what is printed for programs about a running run, None for any other."""
    progress = run_progress(repo, run)
    return None if progress is None else facts_of(progress, first_remaining_s(run, progress))


def facts_of(progress: Progress, eta_s: float | None) -> dict[str, Any]:
    """Return progress as JSON has it: the time as a stored time, the seconds that are left."""
    facts = progress._asdict()
    metrics = facts.pop("metrics")
    at = None if progress.at is None else utc_at(progress.at)
    eta = None if eta_s is None else round(eta_s, 1)
    return {**facts, "at": at, "eta_s": eta, "metrics": metrics}


def _said(path: str) -> dict[str, Any]:
    try:
        value = json.loads(read_end(path, _TAILS[0])[0])
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _logged(repo: Repo, job_id: str, attempt: int | None) -> tuple[dict[str, Any], int | None]:
    rows = [
        row
        for row in parse_lines(_last_lines(repo.run_file(job_id, SERIES)), False)
        if attempt is None or row.attempt in (0, attempt)
    ]
    # The metrics file is of this attempt alone: the wrapper removes it before each.
    lines = _last_lines(repo.run_file(job_id, METRICS))
    whole = parse_lines([b"\n".join(lines)], True)  # one object, perhaps over several lines
    rows += whole or parse_lines(lines, True)
    found: dict[str, Any] = {}
    step = None
    for row in rows:
        found |= row.metrics if _is_flat(row.metrics) else _flat(row.metrics)
        step = step if row.step is None else row.step
    return {_clean(name): value for name, value in _flat(found).items()}, step


def _is_flat(metrics: dict[str, Any]) -> bool:
    return dict not in map(type, metrics.values())


def _flat(metrics: dict[str, Any]) -> dict[str, Any]:
    try:
        return flat_numbers(metrics)
    except RecursionError:  # nested too deeply to be anybody's numbers
        return {}


def _last_lines(path: str) -> list[bytes]:
    """Return the whole lines at the end of a file; of a shorter file, all of it."""
    for size in _TAILS:
        try:
            data, whole = read_end(path, size)
        except OSError:
            return []
        if whole <= size:
            return data.splitlines()
        _, newline, rest = data.partition(b"\n")
        if newline and b"\n" in rest:
            return rest[: rest.rfind(b"\n")].split(b"\n")
    return []


def _fraction(
    said: float | None, step: int | float | None, total: int | float | None
) -> float | None:
    if said is None and step is not None and total:
        said = step / total
    return None if said is None else min(1.0, max(0.0, said))


def _clean(text: str) -> str:
    """Return text that can be printed: JSON may hold halves of characters."""
    return text.encode("utf-8", "backslashreplace").decode()
