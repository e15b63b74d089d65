"""Which outcome a run has had: the frozen conditions over the numbers and words of its end."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aexp.errors import AexpError
from aexp.files import read_end, read_object
from aexp.ledger.projection import flat_numbers
from aexp.model import Run, printable, section
from aexp.paths import METRICS, SERIES, Repo
from aexp.preregistration.condition import holds, names_of
from aexp.preregistration.grammar import ConditionError, parse_condition
from aexp.preregistration.meaning import UNKNOWN
from aexp.preregistration.register import DECLARED
from aexp.runs.outcome import Outcome
from aexp.runs.series import parse_lines

_MAX_BYTES = 1 << 20
_MAX_NOTES = 20


class Judgement(NamedTuple):
    """Which outcome it is.

    Attributes
    ----------
    outcome : str
        Its label, or ``unknown``.
    residual : bool
        Whether it is the one for what the others do not cover.
    decision : str
        What was said to follow from it.
    notes : list of str
        What could not be compared, and why.
    """

    outcome: str
    residual: bool
    decision: str
    notes: list[str]

    def as_record(self) -> dict[str, Any]:
        """Return it as the job document keeps it."""
        told: dict[str, Any] = {"outcome": self.outcome, "residual": self.residual}
        return {**told, "notes": self.notes} if self.notes else told


def is_declared(run: Run) -> bool:
    """Return whether a run was registered with outcomes."""
    return section(run.record, "preregistration").get("mode") == DECLARED


def with_verdict(repo: Repo, run: Run, attempt: int, ended: Outcome) -> Outcome:
    """Return how an attempt ended, with the outcome that its numbers are."""
    if not is_declared(run):
        return ended
    judgement = judge(repo, run, attempt, ended.metrics)
    return ended._replace(verdict=judgement.as_record())


def verdict_text(run: Run) -> str:
    """Return one line about an ended run's outcome: its label and what follows from it."""
    verdict = section(run.record, "verdict")
    label = verdict.get("outcome")
    outcomes = section(run.record, "preregistration").get("outcomes")
    known = [item for item in outcomes if isinstance(item, dict)] if outcomes else []
    decision = next((str(item.get("decision")) for item in known if item.get("label") == label), "")
    text = f"outcome {printable(label)}" + (f": {printable(decision)}" if decision else "")
    notes = verdict.get("notes")
    return f"{text} ({'; '.join(map(str, notes))})" if isinstance(notes, list) and notes else text


def judge(repo: Repo, run: Run, attempt: int, metrics: Mapping[str, Any] | None) -> Judgement:
    """Return the outcome of a registered run that has completed.

    Parameters
    ----------
    repo : Repo
        The repository.
    run : Run
        The run, with its registration.
    attempt : int
        The attempt's number.
    metrics : mapping or None
        Its final numbers; they may be nested.
    """
    values = {**dict(_words(repo, run.job_id, attempt)), **flat_numbers(dict(metrics or {}))}
    return judge_values(section(run.record, "preregistration"), values)


def judge_values(registration: Mapping[str, Any], values: Mapping[str, Any]) -> Judgement:
    """Return the first outcome whose condition holds, else the residual one, else ``unknown``."""
    notes: list[str] = []
    residual: Mapping[str, Any] | None = None
    outcomes = registration.get("outcomes")
    for outcome in outcomes if isinstance(outcomes, list) else []:
        if not isinstance(outcome, dict):
            continue
        if outcome.get("residual") is True:
            residual = residual or outcome
            continue
        if _holds(outcome, values, notes):
            return _judgement(outcome, False, notes)
    if residual is not None:
        return _judgement(residual, True, notes)
    return Judgement(UNKNOWN, False, "", notes)


def _judgement(outcome: Mapping[str, Any], residual: bool, notes: list[str]) -> Judgement:
    return Judgement(str(outcome.get("label")), residual, str(outcome.get("decision") or ""), notes)


def _holds(outcome: Mapping[str, Any], values: Mapping[str, Any], notes: list[str]) -> bool:
    try:
        node = parse_condition(str(outcome.get("condition")))
    except ConditionError as error:  # somebody has edited the document
        _add(notes, f"{outcome.get('label')}: {error}")
        return False
    result = holds(node, values)
    if result is None:
        for name in dict.fromkeys(names_of(node)):
            value = values.get(name)
            if value is None:
                _add(notes, f"there is no {name}")
            elif value == "NaN" or value != value:
                _add(notes, f"{name} is not a number")
            elif not isinstance(value, bool | int | float | str):
                _add(notes, f"{name} is {type(value).__name__}, which nothing compares with")
            elif isinstance(value, str):
                _add(notes, f"{name} is text")
    return result is True


def _add(notes: list[str], note: str) -> None:
    text = printable(note)[:300]
    if text not in notes and len(notes) < _MAX_NOTES:
        notes.append(text)


def _words(repo: Repo, job_id: str, attempt: int) -> Iterator[tuple[str, Any]]:
    """Return what the attempt has logged that is no number: text, lists; the last of each name."""
    for row in parse_lines(_lines(repo.run_file(job_id, SERIES)), flat=False):
        if row.attempt == attempt:
            yield from _flat(row.metrics)
    path = repo.run_file(job_id, METRICS)
    try:
        whole = [read_object(path) or {}]
    except AexpError:  # one object per line
        whole = [row.metrics for row in parse_lines(_lines(path), flat=True)]
    for values in whole:
        yield from _flat(values)


def _lines(path: str) -> list[bytes]:
    """Return the lines of a file; of a long one those of its end."""
    try:
        return read_end(path, _MAX_BYTES)[0].splitlines()
    except OSError:
        return []


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{key}.")
        elif not isinstance(item, bool | int | float):
            yield f"{prefix}{key}", item
