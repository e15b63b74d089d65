"""Whether a finding cites whole sweeps: no seed missing, failed, or left out of the citation."""

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aexp.kb.claim import shown
from aexp.model import COMPLETE, FAILED, TERMINAL_STATUSES, printable, short
from aexp.validation.cited import Cited
from aexp.validation.evidence import Record
from aexp.validation.issue import Issue
from aexp.validation.sweeps import SEED, Sweep, Sweeps

_IMPLIED = frozenset({SEED, "experiment_id", "hypothesis_id", "sub_hypothesis_id"})
_MOST_NAMED = 10


class _Gaps(NamedTuple):
    """The seeds of one configuration that the numbers of a finding lack, by why they do."""

    not_complete: dict[str, str]
    left_out: list[str]
    pending: dict[str, str]
    never_run: list[str]


def incomplete_batches(cited: Cited, sweeps: Sweeps, path: str) -> Iterator[Issue]:
    """Report every configuration of which a finding does not cite all seeds, complete.

    Parameters
    ----------
    cited : Cited
        What the finding cites.
    sweeps : Sweeps
        The sweeps of the repository.
    path : str
        The finding's file, relative to the repository.
    """
    for experiment_id, records in _by_experiment(cited).items():
        sweep = sweeps.of(experiment_id, _shared_tag(records, sweeps))
        configurations: dict[str, list[Record]] = {}
        for record in records:
            configurations.setdefault(sweeps.places.of(record).configuration, []).append(record)
        for configuration, members in configurations.items():
            gaps = _gaps(configuration, members, sweep, sweeps)
            if not any(gaps):
                continue
            first = members[0]
            yield Issue.of(
                "finding.incomplete_batch",
                f"{_name(experiment_id, first)}: {_in_words(gaps, first)}",
                path,
                cited.lines[first.job_id],
                experiment_id=experiment_id,
                configuration=json.loads(configuration),
                not_complete={_plain(seed): why for seed, why in gaps.not_complete.items()},
                left_out=[_plain(seed) for seed in gaps.left_out],
                pending={_plain(seed): why for seed, why in gaps.pending.items()},
                never_run=[_plain(seed) for seed in gaps.never_run],
            )


def _by_experiment(cited: Cited) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in cited.runs.values():
        if record.experiment_id is not None and record.source != "index":
            found.setdefault(record.experiment_id, []).append(record)
    return found


def _shared_tag(records: Sequence[Record], sweeps: Sweeps) -> str | None:
    tags = {sweeps.tag(record) for record in records}
    return tags.pop() if len(tags) == 1 else None


def _gaps(configuration: str, members: Sequence[Record], sweep: Sweep, sweeps: Sweeps) -> _Gaps:
    cited: dict[str, list[str]] = {}
    for record in members:
        cited.setdefault(sweeps.places.of(record).seed, []).append(record.status)
    known = sweep.runs.get(configuration, {})
    gaps = _Gaps({}, [], {}, [])
    for seed in sorted(sweep.seeds(configuration) | cited.keys(), key=_seed_order):
        if seed in cited:
            if COMPLETE not in cited[seed]:
                gaps.not_complete[seed] = cited[seed][-1]
            continue
        statuses = {record.status for record in known.get(seed, [])}
        if not statuses:
            gaps.never_run.append(seed)
        elif COMPLETE in statuses:
            gaps.left_out.append(seed)
        elif statuses <= TERMINAL_STATUSES:
            gaps.not_complete[seed] = FAILED if FAILED in statuses else min(statuses)
        else:
            gaps.pending[seed] = min(statuses - TERMINAL_STATUSES)
    return gaps


def _seed_order(seed: str) -> tuple[float, str]:
    try:
        return (float(seed), seed)
    except ValueError:
        return (float("inf"), seed)


def _in_words(gaps: _Gaps, first: Record) -> str:
    if SEED not in first.sp:  # the run stands alone
        return f"run {short(first.job_id)} is {first.status}, not complete"
    parts = []
    if gaps.left_out:
        parts.append(f"{_seeds(gaps.left_out)} complete but left out of the citation")
    for word, group in _by_word(gaps.not_complete).items():
        parts.append(f"{_seeds(group)} {word}")
    for word, group in _by_word(gaps.pending).items():
        parts.append(f"{_seeds(group)} {word} still")
    if gaps.never_run:
        parts.append(f"{_seeds(gaps.never_run)} missing, though other conditions have it")
    return "; ".join(parts)


def _by_word(reasons: dict[str, str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for seed, word in reasons.items():
        grouped.setdefault(word, []).append(seed)
    return grouped


def _seeds(seeds: Sequence[str]) -> str:
    named = ", ".join(_plain(seed) for seed in seeds[:_MOST_NAMED])
    more = f" and {len(seeds) - _MOST_NAMED} more" if len(seeds) > _MOST_NAMED else ""
    return ("seed " if len(seeds) == 1 else "seeds ") + named + more


def _plain(seed: str) -> str:
    """Return a seed as people write it: canonical text has quotes around text."""
    return shown(json.loads(seed)) if seed else "(none)"


def _name(experiment_id: str, record: Record) -> str:
    keys = [key for key in record.sp if key not in _IMPLIED and not key.startswith("code_")]
    if "condition" in record.sp:
        keys = ["condition", *(key for key in keys if key != "condition")]
    pairs = ", ".join(f"{printable(key)}={shown(record.sp[key])}" for key in keys[:6])
    return f"{experiment_id} {pairs}{', …' if len(keys) > 6 else ''}".rstrip()
