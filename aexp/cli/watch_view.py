"""What ``aexp watch`` shows: an observation of the store as lines of a terminal."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from aexp import slurm
from aexp.cli.fitting import Column, cell_width, cut, fit
from aexp.cli.output import STATUS_COLORS, configuration
from aexp.cli.progress_text import bar, duration, metrics_text, percent, steps
from aexp.ledger.projection import final_metrics
from aexp.model import STATUSES, TERMINAL_STATUSES, epoch, printable, short
from aexp.runs.observe import Executing, Observation
from aexp.runs.select import RunFilter

_BAR = 10
_LONG_BAR = 40
_EXPERIMENTS = 6
_PROBLEMS = 3
_RUNNING = (
    Column("ID"),
    Column("EXP", leave_out=6),
    Column("TAG", 6, leave_out=8),
    Column("CONFIGURATION", 16, leave_out=3),
    Column("PROGRESS"),
    Column("STEP", leave_out=2),
    Column("ETA", leave_out=1),
    Column("TIME", leave_out=7),
    Column("BEAT", leave_out=5),
    Column("METRICS", 12, leave_out=4),
    Column("MESSAGE", 10, leave_out=9),
)
_ENDED = (
    Column("ID"),
    Column("STATUS"),
    Column("EXP", leave_out=3),
    Column("TAG", 6, leave_out=5),
    Column("CONFIGURATION", 16, leave_out=2),
    Column("TIME", leave_out=4),
    Column("AGO", leave_out=1),
    Column("METRICS", 12, leave_out=6),
)


class Line(NamedTuple):
    """One line of the view; `look` is a colour, ``bold``, or nothing."""

    text: str
    look: str = ""


def frame(
    seen: Observation,
    chosen: RunFilter,
    *,
    width: int | None = None,
    height: int | None = None,
    plain: bool = False,
    footer: str = "",
) -> list[Line]:
    """Return the lines of one view.

    Parameters
    ----------
    seen : Observation
        What to show.
    chosen : RunFilter
        The filter, to be named.
    width, height : int, optional
        Of the terminal; without them nothing is cut.
    plain : bool, default False
        Use ASCII only for bars.
    footer : str, optional
        The last line.
    """
    head = [*_summary(seen, chosen, width, plain), *_experiments(seen, width)]
    ended = _ended(seen, width)
    problems = [
        Line(_cut(f"warning: {printable(text)}", width), "red")
        for text in seen.unreadable[:_PROBLEMS]
    ]
    if len(seen.unreadable) > _PROBLEMS:
        more = f"warning: ... and {len(seen.unreadable) - _PROBLEMS} more"
        problems.append(Line(_cut(more, width), "red"))
    last = [Line(""), Line(_cut(footer, width))] if footer else []
    room = None
    if height is not None:
        room = height - len(head) - len(problems) - len(last)
        if room - len(ended) < 6:  # the running ones matter more
            ended = []
        room -= len(ended)
    running = _running(seen, width, plain, room)
    lines = [*head, *running, *ended, *problems, *last]
    return lines if height is None else lines[:height]


def _summary(seen: Observation, chosen: RunFilter, width: int | None, plain: bool) -> list[Line]:
    totals = seen.totals
    count = sum(totals.values())
    ended = sum(totals[word] for word in TERMINAL_STATUSES)
    words = ", ".join(f"{totals[word]} {word}" for word in STATUSES if totals[word])
    where = "" if chosen == RunFilter() else f"{printable(chosen)}: "
    text = f"{where}{count} run(s): {words}" if count else chosen.none()
    clock = time.strftime("%H:%M:%S", time.localtime(seen.at))
    if width is not None:
        text = cut(text, max(0, width - len(clock) - 2))
        text += " " * (width - len(clock) - cell_width(text))
    else:
        text += "  "
    lines = [Line(_cut(text + clock, width), "bold")]
    if count:
        cells = _LONG_BAR if width is None else min(_LONG_BAR, max(4, width - 24))
        done = f"{bar(ended / count, cells, plain=plain)}  {ended} of {count} ended"
        lines.append(Line(_cut(done, width)))
    return lines


def _experiments(seen: Observation, width: int | None) -> list[Line]:
    """Return the counts per experiment, of those that have something to do, if several."""
    if len(seen.counts) < 2:
        return []
    busy = {
        name: found
        for name, found in seen.counts.items()
        if sum(found.values()) > sum(found[word] for word in TERMINAL_STATUSES)
    }
    rows = [
        (name, *(found[word] or None for word in STATUSES), sum(found.values()))
        for name, found in list(busy.items())[:_EXPERIMENTS]
    ]
    if not rows:
        return []
    names = ("EXPERIMENT", *(word.upper() for word in STATUSES), "RUNS")
    columns = [Column(name, leave_out=i) for i, name in enumerate(names)]
    lines = [Line(""), *_table(columns, rows, width)]
    if len(busy) > len(rows):
        lines.append(Line(_cut(f"... and {len(busy) - len(rows)} more experiment(s)", width)))
    return lines


def _running(seen: Observation, width: int | None, plain: bool, room: int | None) -> list[Line]:
    if not seen.running:
        return [Line(""), Line(_cut("nothing is running", width))]
    shown = seen.running
    if room is not None and len(shown) > room - 2:
        shown = shown[: max(1, room - 3)]
    rows = [_running_row(one, plain) for one in shown]
    looks = ["" if one.owner.state == slurm.ALIVE else "red" for one in shown]
    lines = [Line(""), *_table(_RUNNING, rows, width, looks)]
    if len(shown) < len(seen.running):
        more = f"... and {len(seen.running) - len(shown)} more running"
        lines.append(Line(_cut(more, width)))
    return lines


def _running_row(one: Executing, plain: bool) -> tuple[object, ...]:
    run, known = one.run, one.progress._asdict()
    fraction = one.progress.fraction
    shown = ""
    if fraction is not None:
        shown = f"{bar(fraction, _BAR, plain=plain)} {percent(known):>4}"
    if one.owner.state == slurm.DEAD:
        shown = "owner dead"
    elif one.owner.state == slurm.UNKNOWN:
        shown = f"{shown} owner?".strip()
    return (
        short(run.job_id),
        run.experiment_id,
        run.tag,
        configuration(run.sp),
        shown or "running",
        steps(known),
        duration(one.eta_s) if one.owner.state != slurm.DEAD else "",
        duration(one.elapsed_s),
        duration(one.heartbeat_age_s),
        metrics_text(one.progress.metrics),
        one.progress.message,
    )


def _ended(seen: Observation, width: int | None) -> list[Line]:
    if not seen.ended:
        return []
    rows = [
        (
            short(run.job_id),
            run.status,
            run.experiment_id,
            run.tag,
            configuration(run.sp),
            _spent(run.doc.get("wallclock_s")),
            duration(max(0.0, seen.at - epoch(run.doc.get("ended_at")))),
            metrics_text(final_metrics(run)),
        )
        for run in seen.ended
    ]
    looks = [STATUS_COLORS.get(run.status, "") for run in seen.ended]
    return [Line(""), *_table(_ENDED, rows, width, looks)]


def _spent(value: object) -> str:
    return duration(value) if isinstance(value, int | float) else ""


def _table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    width: int | None,
    looks: Sequence[str] | None = None,
) -> list[Line]:
    lines = fit(columns, rows, width)
    return [
        Line(lines[0], "bold"),
        *(Line(*pair) for pair in zip(lines[1:], looks or [""] * len(rows), strict=True)),
    ]


def _cut(text: str, width: int | None) -> str:
    return text if width is None else cut(text, width)
