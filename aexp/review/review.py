"""Review a campaign: how its runs ended, what the arms show, what is suspicious or missing."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aexp.campaigns.campaign import CONFIRMATION
from aexp.campaigns.edited import edited_files
from aexp.campaigns.order import Order
from aexp.campaigns.read import CampaignFiles, load_campaign
from aexp.catalogue import open_catalogue
from aexp.errors import CorruptFile, CorruptFileWarning
from aexp.freshness.check import states_of
from aexp.ledger.rates import FEW_RUNS, Rate, rate
from aexp.model import COMPLETE, FAILED, STATUSES, TERMINAL_STATUSES, short
from aexp.paths import Repo
from aexp.review.arms import Arm, Grid, find_arms, find_duplicates, find_grid
from aexp.review.numbers import Outlier, Summary, has_scipy, outliers, summarize
from aexp.review.rows import UNKNOWN, Row, read_rows

ALARM = "alarm"
REMARK = "remark"
NO_SCIPY = "intervals need SciPy: pip install 'aexp[stats]'"
_BYPASSED = "bypassed"
_DECLARED = "declared"
_SHOWN = 5


class Remark(NamedTuple):
    """One thing that a person should know.

    Attributes
    ----------
    severity : str
        ``alarm``, for which ``--strict`` exits 1, or ``remark``.
    kind : str
        In a word: ``failed``, ``duplicates``, ...
    message : str
        What it is.
    runs : tuple of str
        Ids of the runs it is about.
    """

    severity: str
    kind: str
    message: str
    runs: tuple[str, ...] = ()


class ArmReview(NamedTuple):
    """What one arm shows.

    Attributes
    ----------
    name : str
        The arm in a line.
    values : dict
        What tells it from the others.
    runs, complete : int
        How many runs it has, and how many of them are complete.
    metrics : dict
        Name to `Summary`, over its complete runs.
    outliers : dict
        Metric to the runs whose number does not fit in.
    duration_outliers : list of Outlier
        The runs that took much longer, or shorter, than the others.
    """

    name: str
    values: dict[str, Any]
    runs: int
    complete: int
    metrics: dict[str, Summary]
    outliers: dict[str, list[Outlier]]
    duration_outliers: list[Outlier]


class Review(NamedTuple):
    """All that is said about a campaign.

    Attributes
    ----------
    files : CampaignFiles
        The campaign itself.
    runs : list of Row
        Its runs.
    statuses : dict
        Status word to number of runs.
    outcomes : dict
        Outcome to number of complete runs; ``unknown`` where a pre-registration says nothing
        of the result, ``not registered`` where there is none.
    rates : list of Rate
        Shares of the runs that are suspicious.
    arms : list of ArmReview
        What the arms show.
    grid : Grid
        The cells, and those without a result.
    duplicates : list of list of str
        Runs with one configuration.
    remarks : list of Remark
        What a person should know, the alarms first.
    """

    files: CampaignFiles
    runs: list[Row]
    statuses: dict[str, int]
    outcomes: dict[str, int]
    rates: list[Rate]
    arms: list[ArmReview]
    grid: Grid
    duplicates: list[list[str]]
    remarks: list[Remark]

    @property
    def alarms(self) -> list[Remark]:
        """The remarks that ``--strict`` fails for."""
        return [remark for remark in self.remarks if remark.severity == ALARM]

    def to_dict(self) -> dict[str, Any]:
        """Return the review for ``--json``."""
        campaign = self.files.campaign._asdict()
        return {
            "id": campaign.pop("campaign_id"),
            **campaign,
            "status": self.files.status,
            "conclusion": self.files.conclusion and self.files.conclusion._asdict(),
            "runs": len(self.runs),
            "statuses": self.statuses,
            "outcomes": self.outcomes,
            "rates": {one.name: one.to_dict() for one in self.rates},
            "arms": [
                {
                    **arm._asdict(),
                    "metrics": {key: one._asdict() for key, one in arm.metrics.items()},
                    "outliers": {
                        key: [one._asdict() for one in found] for key, found in arm.outliers.items()
                    },
                }
                for arm in self.arms
            ],
            "grid": {
                "axes": self.grid.axes,
                "cells": self.grid.cells,
                "gaps": [gap._asdict() for gap in self.grid.gaps],
            },
            "duplicates": self.duplicates,
            "remarks": [remark._asdict() for remark in self.remarks],
            "alarms": len(self.alarms),
        }


def review_campaign(repo: Repo, campaign_id: str) -> Review:
    """Judge the runs of a campaign, as the catalogue knows them now.

    Parameters
    ----------
    repo : Repo
        The repository.
    campaign_id : str
        The campaign, open or concluded.

    Raises
    ------
    CampaignNotFound
        If there is none of that id.
    CorruptFile
        If its own file cannot be read.
    """
    files = load_campaign(repo, campaign_id)
    with open_catalogue(repo) as catalogue:
        rows = read_rows(catalogue, files.runs)
        for line in catalogue.warnings:
            if any(job_id in line for job_id in files.runs):
                warnings.warn(line, CorruptFileWarning, stacklevel=2)
    freshness = states_of(repo, [row.job_id for row in rows if row.is_complete])
    rows = [row._replace(freshness=freshness.get(row.job_id)) for row in rows]
    edited = edited_files(repo, campaign_id)
    return judge(files, rows, early=_early(repo, files), edited=edited)


def judge(
    files: CampaignFiles,
    rows: Sequence[Row],
    *,
    early: Sequence[str] = (),
    edited: Sequence[str] = (),
) -> Review:
    """Judge runs that have been read.

    `early` are those that began before a confirmation, `edited` the files of the campaign
    that are not what was committed first.
    """
    counts = Counter(row.status for row in rows)
    known = [word for word in (*STATUSES, UNKNOWN) if counts[word]]
    rates = run_rates(rows)
    arms = [_arm(arm) for arm in find_arms(rows)]
    grid = find_grid(rows)
    duplicates = [[row.job_id for row in group] for group in find_duplicates(rows)]
    remarks = [
        *_of_files(files, early, edited),
        *_of_conclusion(files, rows),
        *rate_remarks(rates),
        *_of_runs(rows, duplicates),
        *_of_arms(arms, grid),
    ]
    return Review(
        files,
        list(rows),
        {word: counts[word] for word in [*known, *sorted(counts.keys() - set(known))]},
        dict(sorted(Counter(_outcome(row) for row in rows if row.is_complete).items())),
        rates,
        arms,
        grid,
        duplicates,
        sorted(remarks, key=lambda remark: remark.severity != ALARM),
    )


def run_rates(rows: Sequence[Row]) -> list[Rate]:
    """Count what is suspicious; each rate says of how many runs it could be told."""
    complete = [row for row in rows if row.is_complete]
    ended = [row for row in rows if row.status in TERMINAL_STATUSES]
    registered = [row for row in complete if row.sidecar_mode == _DECLARED]
    return [
        rate("failed", [row.status == FAILED for row in ended if row.status in (COMPLETE, FAILED)]),
        rate("dirty", [row.code_dirty for row in ended]),
        rate("stale", [_is_stale(row.freshness) for row in complete]),
        rate("residual", [bool(row.is_residual) for row in registered]),
        rate("bypassed", [_is_bypassed(row.sidecar_mode) for row in ended]),
        rate("unknown", [row.outcome in (None, "", UNKNOWN) for row in registered]),
    ]


def _is_stale(state: str | None) -> bool | None:
    return None if state in (None, "unverifiable") else state != "fresh"


def _is_bypassed(mode: str | None) -> bool | None:
    return mode == _BYPASSED if mode in (_BYPASSED, _DECLARED) else None


def _outcome(row: Row) -> str:
    if row.outcome:
        return row.outcome
    return UNKNOWN if row.sidecar_mode == _DECLARED else "not registered"


def _arm(arm: Arm) -> ArmReview:
    values: dict[str, list[tuple[str, float]]] = {}
    durations = []
    complete = [row for row in arm.runs if row.is_complete]
    for row in complete:
        for key, value in row.metrics.items():
            values.setdefault(key, []).append((row.job_id, value))
        if row.wallclock_s is not None:
            durations.append((row.job_id, row.wallclock_s))
    found = {key: outliers(values[key]) for key in sorted(values)}
    return ArmReview(
        arm.name,
        arm.values,
        len(arm.runs),
        len(complete),
        {key: summarize([value for _, value in values[key]]) for key in sorted(values)},
        {key: runs for key, runs in found.items() if runs},
        outliers(durations),
    )


def _of_files(files: CampaignFiles, early: Sequence[str], edited: Sequence[str]) -> list[Remark]:
    remarks = [
        Remark(ALARM, "edited", f"{path} was changed after it had been committed: git log -p")
        for path in edited
    ]
    if early:
        text = f"{len(early)} run(s) began before this confirmation: {_names(early)}"
        remarks.append(Remark(ALARM, "early", text, tuple(early)))
    if files.lost:
        text = f"{len(files.lost)} run(s) that it was concluded with have lost their files"
        remarks.append(Remark(ALARM, "lost", f"{text}: {_names(files.lost)}", files.lost))
    if files.late:
        text = f"{len(files.late)} run(s) were added after its conclusion and do not count"
        remarks.append(Remark(REMARK, "late", f"{text}: {_names(files.late)}", files.late))
    return remarks


def _of_conclusion(files: CampaignFiles, rows: Sequence[Row]) -> list[Remark]:
    """Name the runs whose results nobody can have known who concluded."""
    if files.conclusion is None:
        return []
    at = files.conclusion.concluded_at
    later = tuple(row.job_id for row in rows if row.ended_at is not None and row.ended_at > at)
    text = f"{len(later)} run(s) ended, or were executed again, after its conclusion"
    return [Remark(REMARK, "after", f"{text}: {_names(later)}", later)] if later else []


def rate_remarks(rates: Sequence[Rate]) -> list[Remark]:
    """Say which rates a person should know; those of few runs are never alarms."""
    remarks = []
    for one in rates:
        if one.share is None:
            continue
        text = f"{one.having} of {one.of} runs are {WORDS[one.name]}"
        bounds = f"{one.low:.0%} to {one.high:.0%}"
        if one.is_alarm:
            remarks.append(
                Remark(ALARM, one.name, f"{text}: {one.share:.0%}, at least {one.low:.0%}")
            )
        elif one.verdict == FEW_RUNS:
            remarks.append(Remark(REMARK, one.name, f"{text}; few runs, it may be {bounds}"))
    return remarks


WORDS: Mapping[str, str] = {
    "failed": "failed",
    "dirty": "of code that was not committed",
    "stale": "stale",
    "residual": "of the outcome that no condition describes",
    "bypassed": "without their pre-registration (--no-sidecar)",
    "unknown": "of unknown outcome",
}


def _of_runs(rows: Sequence[Row], duplicates: Sequence[Sequence[str]]) -> list[Remark]:
    remarks = []
    unknown = tuple(row.job_id for row in rows if row.status == UNKNOWN)
    if unknown:
        text = f"{len(unknown)} run(s) are known neither here nor to the ledger: {_names(unknown)}"
        remarks.append(Remark(REMARK, "not here", text, unknown))
    for group in duplicates:
        text = f"{len(group)} runs have one configuration: {_names(group)}"
        remarks.append(Remark(REMARK, "duplicates", text, tuple(group)))
    return remarks


def _of_arms(arms: Sequence[ArmReview], grid: Grid) -> list[Remark]:
    remarks = []
    for arm in arms:
        for key, found in arm.outliers.items():
            ids = tuple(one.job_id for one in found)
            text = f"{arm.name}: outliers in {key}: {_names(ids)}"
            remarks.append(Remark(REMARK, "outliers", text, ids))
        if arm.duration_outliers:
            ids = tuple(one.job_id for one in arm.duration_outliers)
            text = f"{arm.name}: outliers in duration: {_names(ids)}"
            remarks.append(Remark(REMARK, "duration outliers", text, ids))
        for key, summary in arm.metrics.items():
            if summary.not_finite:
                text = f"{arm.name}: {summary.not_finite} of {summary.n} values of {key} are "
                remarks.append(Remark(REMARK, "not finite", text + "NaN or infinite"))
    if grid.gaps:
        text = f"{len(grid.gaps)} of {grid.cells} cells of the grid have no result"
        remarks.append(Remark(REMARK, "gaps", text))
    if not has_scipy() and any(one.n > 1 for arm in arms for one in arm.metrics.values()):
        remarks.append(Remark(REMARK, "no intervals", NO_SCIPY))
    return remarks


def _names(job_ids: Sequence[str]) -> str:
    shown = ", ".join(short(job_id) for job_id in job_ids[:_SHOWN])
    return shown + (", …" if len(job_ids) > _SHOWN else "")


def _early(repo: Repo, files: CampaignFiles) -> list[str]:
    if files.campaign.mode != CONFIRMATION:
        return []
    order = Order(repo, files.campaign)
    found = []
    for job_id in files.runs:
        try:
            if order.of(job_id).is_before:
                found.append(job_id)
        except CorruptFile:
            continue  # named by the catalogue
    return found
