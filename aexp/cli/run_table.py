"""The table of runs that ``ls`` and ``find`` print."""

from collections.abc import Sequence
from typing import Any

from aexp.cli.output import configuration, note, number, print_table
from aexp.cli.progress_text import progress_text
from aexp.cli.rendering import Output, render
from aexp.model import PROVENANCE_KEYS, printable, short
from aexp.runs.known import RunRecord
from aexp.runs.progress import Progress

_COLUMNS = (
    "job_id",
    "status",
    "experiment_id",
    "hypothesis_id",
    "tag",
    "machine",
    "cause",
    "outcome",
    "queued_at",
    "started_at",
    "ended_at",
    "wallclock_s",
    *sorted(PROVENANCE_KEYS),
)
_HEAD = (
    "ID",
    "STATUS",
    "EXP",
    "TAG",
    "MACHINE",
    "OUTCOME",
    "CONFIGURATION",
    "PROGRESS",
    "SECONDS",
)
_LINKS = frozenset({"experiment_id", "hypothesis_id", "sub_hypothesis_id"})


def print_runs(
    out: Output,
    runs: Sequence[RunRecord],
    *,
    none: str,
    facts: list[Any] | None = None,
    progress: Sequence[Progress | None] = (),
) -> None:
    """Print runs in the form that was asked for.

    Parameters
    ----------
    out : Output
        The form.
    runs : sequence of RunRecord
        The runs.
    none : str
        What was looked for, said when there are none.
    facts : list, optional
        What ``--json`` prints; default: the runs.
    progress : sequence, optional
        Of each run how far it is, where it is running.
    """
    progress = progress or [None] * len(runs)
    metrics = [
        run.metrics if known is None else {**run.metrics, **known.metrics}
        for run, known in zip(runs, progress, strict=True)
    ]
    names = list(dict.fromkeys(name for found in metrics for name in found))
    if out.is_text:
        columns: Sequence[str] = ()
        rows: list[Any] = list(runs)
    else:
        keys = list(dict.fromkeys(key for run in runs for key in _own(run)))
        columns = [*_COLUMNS, *(f"p_{key}" for key in keys), *(f"m_{name}" for name in names)]
        rows = [
            [
                *(_fact(run, name) for name in _COLUMNS),
                *(run.sp.get(key) for key in keys),
                *(found.get(name) for name in names),
            ]
            for run, found in zip(runs, metrics, strict=True)
        ]

    def text() -> None:
        shown = [
            (
                short(run.job_id),
                run.status,
                run.experiment_id,
                run.tag,
                run.machine,
                run.outcome,
                configuration(run.sp),
                progress_text(known),
                run.wallclock_s,
                *(number(found[name]) if name in found else "" for name in names),
            )
            for run, known, found in zip(runs, progress, metrics, strict=True)
        ]
        print_table([*_HEAD, *map(printable, names)], shown)
        note(f"{len(runs)} run(s)")

    if facts is None:
        facts = [{**run._asdict(), "short_id": short(run.job_id)} for run in runs]
    render(out, columns, rows, text=text, facts=facts, none=none)


def _own(run: RunRecord) -> list[str]:
    return [key for key in run.sp if key not in _LINKS and key not in PROVENANCE_KEYS]


def _fact(run: RunRecord, name: str) -> Any:
    return run.sp.get(name) if name in PROVENANCE_KEYS else getattr(run, name)
