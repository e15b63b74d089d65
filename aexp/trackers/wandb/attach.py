"""A W&B run that the training process itself has opened: tied to our run, mirrored into it."""

import atexit
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aexp.errors import AexpError
from aexp.model import printable, section
from aexp.paths import Repo
from aexp.runs.store import read_run
from aexp.trackers.binding import record_handle
from aexp.trackers.contract import RunHandle
from aexp.trackers.files import write_owner
from aexp.trackers.frame import frame_of
from aexp.trackers.wandb import marks, resend
from aexp.trackers.wandb.login import noted

_BACKEND = "wandb"
_MAX_DEPTH = 20
# How launchers number the processes of one command; only the first may write.
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "LOCAL_RANK")


_ONE_WRITER = (
    "W&B keeps the rows of one writer per run; call wandb.init in rank 0 alone, "
    'or with mode="disabled" in the others'
)


class Mirrored(Protocol):
    """What attaching needs of the handle of our run."""

    @property
    def job_id(self) -> str:
        """The run's id."""

    @property
    def workspace(self) -> Any:
        """The run's folder."""

    @property
    def attempt(self) -> int:
        """The attempt that is running."""

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add a row to the series."""

    @property
    def summary(self) -> Any:
        """The run's own final numbers, as a mapping to update."""


def attach(active: Mirrored, wandb_run: Any) -> Any:
    """Tie a W&B run that training code has opened to our run, and mirror what it is given.

    W&B's config gets ``job_id``, the link and the frame; ``doc["tracker"]`` its id and
    address. Every row of ``log`` (of the run's and the module's) also goes into the series,
    and the summary into ours when the W&B run is finished or the process ends. aexp itself
    opens no second run. Attaching twice is attaching once. In any process of a distributed
    command but the first nothing is tied and nothing mirrored, and a line on stderr says so.

    Parameters
    ----------
    active : ActiveRun
        Our run.
    wandb_run : wandb.Run
        The one that ``wandb.init()`` has returned.

    Returns
    -------
    wandb.Run
        The same.
    """
    if isinstance(getattr(wandb_run.log, "__self__", None), _Mirror):
        return wandb_run
    other = other_rank(active.workspace)
    if other is not None and not wandb_run.disabled:
        print(f"aexp: not attached in rank {other}: {_ONE_WRITER}", file=sys.stderr)
    if other is not None:
        return wandb_run
    if not wandb_run.disabled:
        _tie(active, wandb_run)
    _Mirror(active, wandb_run).install()
    return wandb_run


def other_rank(workspace: str | os.PathLike[str]) -> str | None:
    """Return this process's number in a distributed command, None in the first or only one."""
    for name in _RANKS:
        if os.environ.get(name, "0") != "0":
            return f"{os.environ[name]} ({name})"
    rank = os.environ.get("SLURM_PROCID", "0")
    # The wrapper itself may be one of several tasks, each with a run of its own.
    if rank not in ("0", noted(workspace).get("rank")):
        return f"{rank} (SLURM_PROCID)"
    return None


def _tie(active: Mirrored, wandb_run: Any) -> None:
    repo = Repo.find(active.workspace)
    job_id = active.job_id
    write_owner(repo, job_id, attempt=active.attempt, backend=_BACKEND, run_id=str(wandb_run.id))
    run = read_run(repo, job_id)
    told = frame_of(repo, run).config
    ours = {key: told[key] for key in ("job_id", "aexp", "frame") if key in told}
    wandb_run.config.update(ours, allow_val_change=True)
    if section(run.doc, "tracker").get("backend") in (None, _BACKEND):
        record_handle(repo, job_id, handle_of(wandb_run))
    # else the run is bound to another tracker, and gets the rows there as well
    path = str(wandb_run.settings.sync_dir)
    left = [one for one in resend.left_behind(active.workspace, str(wandb_run.id)) if one != path]
    marks.opened(path, active.attempt, is_own=True)
    if left and not wandb_run.offline:
        handle = handle_of(wandb_run)
        handle.extra |= {"run": wandb_run, "next_step": wandb_run.starting_step}
        before = active.attempt - 1
        resend.send_missing(None, handle, active.workspace, through=before, is_own=True)
        for earlier in left:
            resend.arrived(active.workspace, earlier, str(wandb_run.id), handle.url)


def handle_of(wandb_run: Any) -> RunHandle:
    """Return what `doc["tracker"]` is to say about an open W&B run."""
    return RunHandle(
        str(wandb_run.id),
        _BACKEND,
        None if wandb_run.offline else wandb_run.url,
        wandb_run.project or None,
        wandb_run.group or None,
    )


class _Mirror:
    """Stands in for ``run.log``: W&B first, then our series."""

    def __init__(self, active: Mirrored, wandb_run: Any) -> None:
        self._active = active
        self._run = wandb_run
        self._log: Callable[..., None] = wandb_run.log
        self._pid = os.getpid()
        self._row_is_open = False
        self._is_closed = False
        self._has_warned = False

    def install(self) -> None:
        """Take the place of the run's `log`, and be told of its end."""
        import wandb

        is_global = wandb.run is self._run
        self._run.log = self.log
        if is_global:
            wandb.log = self.log
        # `with wandb.init()` ends a run by the second name, everything else by either.
        for name in ("_finish", "finish"):
            if hasattr(self._run, name):
                setattr(self._run, name, self._before(getattr(self._run, name)))
        atexit.register(self._at_exit)

    def log(
        self,
        data: dict[str, Any],
        step: int | None = None,
        commit: bool | None = None,
    ) -> None:
        """Log to W&B, and the numbers of the same row to the series."""
        at = step if step is not None or self._run.disabled else self._step()
        self._log(data, step=step, commit=commit)
        self._row_is_open = commit is False or (step is not None and not commit)
        row = numbers(data)
        if row and os.getpid() == self._pid:
            self._quietly(lambda: self._active.log(row, step=at))

    def _step(self) -> int:
        # Of a run that is continued, `step` is 0 until W&B has answered.
        return max(int(self._run.step), int(self._run.starting_step))

    def close(self) -> None:
        """Give the summary to our run; the first call counts."""
        if self._is_closed or os.getpid() != self._pid:
            return
        self._is_closed = True
        self._quietly(self._hand_over)

    def _at_exit(self) -> None:
        """Finish before the SDK does, which would tell nobody."""
        if not self._is_closed and os.getpid() == self._pid:
            self._run.finish()

    def _hand_over(self) -> None:
        if self._row_is_open:  # the summary does not know that row yet
            self._log({}, commit=True)
        summary = self._run.summary
        found = {key: summary.get(key) for key in summary.keys()}  # noqa: SIM118
        told = numbers({key: item for key, item in found.items() if not key.startswith("_")})
        if told:
            self._active.summary.update(told)

    def _before(self, finish: Callable[..., Any]) -> Callable[..., Any]:
        def finish_mirrored(*arguments: Any, **keywords: Any) -> Any:
            self.close()
            done = finish(*arguments, **keywords)
            if not self._run.disabled:
                marks.unmark(str(self._run.settings.sync_dir))
            return done

        return finish_mirrored

    def _quietly(self, do: Callable[[], Any]) -> None:
        """Keep trouble with our files away from the training, and say it once."""
        try:
            do()
        except Exception as error:  # the summary is the SDK's, which may raise anything
            if not self._has_warned:
                self._has_warned = True
                said = error.message if isinstance(error, AexpError) else printable(error)
                print(f"aexp: what W&B was given was not mirrored: {said}", file=sys.stderr)


def numbers(data: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """Return the numbers of what W&B was given; images, tables and the like are W&B's own."""
    kept: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, bool | int | float):
            kept[str(key)] = value
        elif isinstance(value, Mapping) or hasattr(value, "keys"):
            inner = {} if depth > _MAX_DEPTH else _inner(value, depth)
            if inner:
                kept[str(key)] = inner
        else:
            number = _scalar(value)
            if number is not None:
                kept[str(key)] = number
    return kept


def _inner(value: Any, depth: int) -> dict[str, Any]:
    found = {key: value.get(key) for key in value.keys()}  # noqa: SIM118
    return {} if "_type" in found else numbers(found, depth + 1)


def _scalar(value: Any) -> bool | int | float | None:
    """Return the number in an array or tensor of one element."""
    take = getattr(value, "item", None)
    if not callable(take):
        return None
    try:
        number = take()
    except Exception:  # more than one element; each library has its own error
        return None
    return number if isinstance(number, bool | int | float) else None
