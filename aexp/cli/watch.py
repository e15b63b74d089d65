"""``aexp watch``."""

import shutil
import sys
import time
import warnings
from collections.abc import Callable

import click

from aexp import slurm
from aexp.cli.options import filter_options, json_option, run_filter
from aexp.cli.output import note, print_json
from aexp.cli.watch_view import Line, frame
from aexp.paths import Repo
from aexp.queue.pending import CLAIMED, READY, WAITING, Queue
from aexp.runs.observe import Observation, Observer, observation_facts
from aexp.runs.select import RunFilter

_LOOK_AGAIN_S = 30.0
_FOOTER = "q or Ctrl-C ends this view; the runs go on"


@click.command("watch")
@filter_options
@click.option(
    "--every",
    type=click.FloatRange(0.1, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks at the store.",
)
@click.option("--until-done", is_flag=True, help="End when nothing is queued or running.")
@click.option("--once", is_flag=True, help="Print what there is now, once.")
@json_option
def watch(
    experiment: str | None,
    tag: str | None,
    sp: str | None,
    every: float,
    until_done: bool,
    once: bool,
    as_json: bool,
) -> None:
    """Show the queue live: running runs with progress, pace and newest metrics; recent ends.

    Without a terminal, and with --once or --json, it prints one view. With --until-done that
    is the last one, printed when nothing is left that could run.

    \b
    Examples:
      aexp watch --experiment E001
      aexp watch --until-done --every 10
      aexp watch --json
    """
    from aexp.cli.terminal import can_draw

    if once and until_done:
        raise click.UsageError("give --once or --until-done, not both")
    repo, chosen = Repo.installed(), run_filter(experiment, tag, sp)
    observer = Observer(repo, chosen)
    is_over = _Over(repo, chosen) if until_done else None
    if can_draw() and not once and not as_json:
        seen = _show(observer, chosen, every, is_over)
    else:
        seen = observer.look()
        while is_over is not None and not is_over(seen):
            time.sleep(every)
            seen = observer.look()
        if as_json:
            print_json(observation_facts(repo, seen))
        else:
            _print(seen, chosen)
    if is_over is not None:
        _tell_what_is_left(seen)


def _show(
    observer: Observer,
    chosen: RunFilter,
    every: float,
    is_over: Callable[[Observation], bool] | None,
) -> Observation:
    """Draw until it is over or a person ends it; leave the last view on the screen."""
    from aexp.cli.terminal import LiveTerminal, styled

    terminal = LiveTerminal()
    seen = None
    ended_by_hand = False
    lines: list[str] = []
    try:
        with terminal.shown():
            while not ended_by_hand:
                seen = observer.look()
                if is_over is not None and is_over(seen):
                    break
                next_look = time.monotonic() + every
                while True:
                    width, height = terminal.size
                    view = _view(seen, chosen, width, height, _FOOTER)
                    lines = [styled(line.text, line.look) for line in view]
                    terminal.draw(lines)
                    keys = terminal.wait(next_look)
                    if keys is None:
                        break
                    if "q" in keys or "\x04" in keys:
                        ended_by_hand = True
                        break
    except KeyboardInterrupt:
        ended_by_hand = True
    if seen is not None:
        _print(seen, chosen, short=True)
    if seen is None or (ended_by_hand and is_over is not None):
        sys.exit(130 if is_over is not None else 0)
    return seen


def _print(seen: Observation, chosen: RunFilter, *, short: bool = False) -> None:
    """Print a view; a short one fits the terminal, prompt and all."""
    from aexp.cli.terminal import styled

    colored = sys.stdout.isatty()
    width, height = shutil.get_terminal_size() if colored else (None, None)
    height = height - 1 if short and height is not None else None
    for line in _view(seen, chosen, width, height):
        click.echo(styled(line.text, line.look) if colored else line.text)


def _view(
    seen: Observation,
    chosen: RunFilter,
    width: int | None,
    height: int | None,
    footer: str = "",
) -> list[Line]:
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    plain = not encoding.startswith("utf")
    return frame(seen, chosen, width=width, height=height, plain=plain, footer=footer)


def _tell_what_is_left(seen: Observation) -> None:
    dead = sum(one.owner.state == slurm.DEAD for one in seen.running)
    if dead:
        note(
            f"{dead} run(s) have lost their owner; the next session takes them, or: aexp reconcile"
        )
    if seen.queued:
        note(f"{seen.queued} queued run(s) cannot run, see: aexp queue list")


class _Over:
    """Whether nothing is left that runs or could run."""

    def __init__(self, repo: Repo, chosen: RunFilter) -> None:
        self._repo = repo
        self._chosen = chosen
        self._asked: tuple[object, float, bool] | None = None

    def __call__(self, seen: Observation) -> bool:
        if any(one.owner.state != slurm.DEAD for one in seen.running):
            return False
        if not seen.queued:
            return True
        # What is queued may be blocked, or done on another machine: then it waits for ever.
        counts, now = seen.counts, time.monotonic()
        if self._asked is None or self._asked[0] != counts or now > self._asked[1]:
            self._asked = counts, now + _LOOK_AGAIN_S, not self._can_run()
        return self._asked[2]

    def _can_run(self) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what cannot be read is in the view
            waiting = Queue(self._repo).matching(self._chosen)
        return any(pending.state in (READY, WAITING, CLAIMED) for pending in waiting)
