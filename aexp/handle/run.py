"""The object that training code holds: its run."""

import contextlib
import os
import time
from _thread import get_ident
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from aexp.errors import AexpError, CorruptFile, MetricError
from aexp.files import read_object
from aexp.handle.place import Place
from aexp.handle.progress import ProgressFile
from aexp.model import COMPLETE, FAILED
from aexp.paths import PROGRESS, SERIES, STATEPOINT, Repo
from aexp.runs.series import SeriesWriter

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from aexp.handle.block import Block
    from aexp.handle.summary import Summary


class ActiveRun:
    """One run, from within the code that it executes.

    Get one from `aexp.current`, `aexp.start` or `aexp.run`. All methods may be called by
    several threads and by forked children.

    As a context manager: inside a queued run an exception that leaves the block is recorded
    as its failure, and everything else is up to the command's exit code; elsewhere the block
    *is* the run, ``running`` at its start and ``complete`` or ``failed`` at its end.

    Parameters
    ----------
    place : Place
        Which attempt of which run it is.
    again : bool, default False
        Whether a ``with`` block may execute a run that has ended.
    """

    def __init__(self, place: Place, *, again: bool = False) -> None:
        self._again = again
        self._block: tuple[Block, tuple[int, int]] | None = None
        self._statepoint: dict[str, Any] | None = None
        self._entered: list[tuple[int, int]] = []  # process and thread of each open block
        self._settle(place)

    def _settle(self, place: Place) -> None:
        self._place = place
        self._progress = ProgressFile(place.repo.run_file(place.job_id, PROGRESS))
        self._series = SeriesWriter(place.repo.run_file(place.job_id, SERIES), place.attempt)

    def __repr__(self) -> str:
        return f"<aexp run {self.id} attempt {self.attempt}>"

    def __reduce__(self) -> tuple[Any, ...]:
        place = self._place
        return _reopen, (place.repo.root, place.job_id, place.attempt, place.claim)

    @property
    def id(self) -> str:
        """The run's id, 32 hexadecimal digits."""
        return self._place.job_id

    @property
    def job_id(self) -> str:
        """The same as `id`."""
        return self._place.job_id

    @property
    def attempt(self) -> int:
        """The number of this execution, from 1; 0 when the run is not executed here."""
        return self._place.attempt

    @property
    def workspace(self) -> "Path":
        """The run's own folder, for its checkpoints and outputs."""
        from pathlib import Path

        return Path(self._place.repo.run_dir(self.id))

    @property
    def repo(self) -> Repo:
        """The research repository."""
        return self._place.repo

    @property
    def statepoint(self) -> dict[str, Any]:
        """The configuration, frozen when the run was created."""
        if self._statepoint is None:
            path = self.repo.run_file(self.id, STATEPOINT)
            self._statepoint = read_object(path)
            if self._statepoint is None:
                raise CorruptFile(f"{path} is missing", "restore it from git or a backup")
        return self._statepoint

    @property
    def summary(self) -> "Summary":
        """The run's final numbers: ``run.summary["accuracy"] = 0.93``."""
        from aexp.handle.summary import Summary

        return Summary(self._place)

    @property
    def is_done(self) -> bool:
        """Whether the run is complete: ``if not run.is_done: with run: ...``."""
        from aexp.runs.store import read_run

        return read_run(self.repo, self.id).status == COMPLETE

    def log(self, metrics: Mapping[str, Any], step: Any = None, *, time: Any = None) -> None:
        """Append one row to the run's series.

        Parameters
        ----------
        metrics : mapping
            Names to numbers; nested mappings, scalars of numpy and torch, NaN and
            infinities may be among them, text and lists are kept with the row.
        step : int, optional
            Where training is.
        time : float, optional
            When it was, in seconds since 1970; default now.

        Raises
        ------
        MetricError
            If something cannot be kept; no row was written, the run goes on.
        StatusError
            If this process has outlived its attempt, or the run is not executed here.
        """
        if _monotonic() >= self._place.look_at:
            self._place.look()
        self._series.append(metrics, step, time)

    def heartbeat(
        self, progress: Any = None, *, step: Any = None, total: Any = None, message: Any = None
    ) -> None:
        """Say how far the run is, for ``aexp status`` and ``aexp watch``.

        Signs of life need no call. It may be called at every step: most calls write nothing.

        Parameters
        ----------
        progress : float, optional
            The fraction that is done, 0 to 1; default `step` of `total`.
        step, total : int or float, optional
            Where the run is, and where it ends.
        message : str, optional
            What it is doing.
        """
        if _monotonic() >= self._place.look_at:
            self._place.look()
        self._progress.say(progress, step, total, message)

    def succeed(self) -> None:
        """Declare the run complete, whatever the exit code will be.

        What crashes later, an interpreter that ends or a plot, fails it no more. A declared
        failure stays one.
        """
        self._declare(COMPLETE)

    def fail(self, reason: str | None = None, message: str = "") -> None:
        """Declare the run failed, even if the command exits with 0; the code goes on.

        Parameters
        ----------
        reason : str, optional
            A word for it, for instance ``diverged``; it becomes the run's cause.
        message : str, optional
            What happened. Within an ``except`` block: by default the exception, and the
            end of its traceback is kept.
        """
        import sys

        self._declare(FAILED, reason, message, sys.exc_info()[1])

    def upload_environment(self, environment: Mapping[str, Any]) -> dict[str, str]:
        """Add your own facts to the record of what this attempt, or the last one, ran in.

        Mappings of several calls are merged. Secrets are left out, by their names and looks.
        """
        from aexp.environment.record import merge_user_environment

        self._look_if_executed()
        return merge_user_environment(self.repo, self.id, self.attempt or None, environment)

    def upload_asset(
        self,
        asset_type: str,
        content: Any,
        asset_config: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> dict[str, Any]:
        """Keep something as a file of the run, below ``assets/`` in its folder.

        Parameters
        ----------
        asset_type : str
            What it is, for instance ``predictions``.
        content : mapping, list, str, bytes or path
            JSON, text, bytes, or a file that is copied.
        asset_config : mapping, optional
            What belongs to it.
        name : str, optional
            Default: `asset_type`.

        Returns
        -------
        dict
            Its row of ``assets/index.jsonl``: ``path``, ``size``, ``sha256`` and what was given.
        """
        from aexp.handle.assets import upload_asset

        self._look_if_executed()
        return upload_asset(self._place, asset_type, content, asset_config, name)

    def log_artifact(self, name: str, path: "str | os.PathLike[str]") -> dict[str, Any]:
        """Note a file or folder that belongs to the run, where it lies, with its digest."""
        from aexp.handle.assets import log_artifact

        self._look_if_executed()
        return log_artifact(self._place, name, path)

    def link_wandb(
        self,
        entity: str | None = None,
        project: str | None = None,
        run_id: str | None = None,
        url: str | None = None,
    ) -> dict[str, Any]:
        """Record which W&B run belongs to this one, at any time, also when it has ended.

        Give the id, or the address of the run's page, from which the rest is taken.
        """
        from aexp.handle.tracker import link_wandb

        return link_wandb(self._place, entity, project, run_id, url)

    def attach(self, wandb_run: Any) -> Any:
        """Make an open W&B run, ``attach(wandb.run)``, the tracked run of this one."""
        from importlib import import_module

        return import_module("aexp.trackers.wandb.attach").attach(self, wandb_run)

    def __enter__(self) -> Self:
        me = os.getpid(), get_ident()
        if not self.attempt:
            from aexp.handle.block import Block

            block = Block(self.repo, self.id, again=self._again)
            self._settle(block.begin())
            self._block = block, me
            remember(self)
        self._entered.append(me)
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        me = self._my_block()
        if me is None:
            return  # a forked child that leaves its parent's block has not ended the run
        self._entered.remove(me)
        self._progress.flush()
        if me in self._entered:
            return  # of nested blocks the outermost counts
        if self._block is None or self._block[1] != me:
            if isinstance(error, Exception):
                # The exit code says so too; a full disk must not hide the exception.
                with contextlib.suppress(AexpError, OSError):
                    self._declare(FAILED, "exception", "", error)
            return
        block, self._block = self._block[0], None
        try:
            block.end(error)
        finally:
            self._progress.close()
            self._series.close()
            forget(self)
            self._settle(Place(self.repo, self.id))

    def _my_block(self) -> tuple[int, int] | None:
        """Return the mark of the block that this process is about to leave."""
        me = os.getpid(), get_ident()
        if me in self._entered:
            return me
        # A thread may leave what another one has entered.
        return next((mark for mark in reversed(self._entered) if mark[0] == me[0]), None)

    def _look_if_executed(self) -> None:
        if self.attempt:
            self._place.look()

    def _declare(
        self,
        status: str,
        reason: str | None = None,
        message: str = "",
        error: BaseException | None = None,
    ) -> None:
        from aexp.runs.declared import Declared, declare

        for what, text in (("reason", reason or ""), ("message", message)):
            if not isinstance(text, str):
                raise MetricError(
                    f"{what} is {type(text).__name__}, not text", f"write {what}=str(...)"
                )
        self._place.look()
        self._progress.flush()
        trace = ""
        if error is not None:
            import traceback

            trace = "".join(traceback.format_exception(error))
            message = message or f"{type(error).__name__}: {error}"
        word = Declared(status, reason, message, trace)
        declare(self.repo, self.id, self.attempt, word)


_monotonic = time.monotonic
_known: dict[tuple[str, int, str | None], ActiveRun] = {}


def _key(place: Place) -> tuple[str, int, str | None]:
    return place.job_id, place.attempt, place.claim


def remember(run: ActiveRun) -> None:
    """Have `handle_of` find this handle."""
    _known[_key(run._place)] = run


def forget(run: ActiveRun) -> None:
    """Have `handle_of` make a new handle for this one's run."""
    _known.pop(_key(run._place), None)


def handle_of(place: Place) -> ActiveRun:
    """Return the one handle that this process has for an attempt of a run."""
    known = _known.get(_key(place))
    if known is None:
        known = ActiveRun(place)
        remember(known)
    return known


def _reopen(root: str, job_id: str, attempt: int, claim: str | None) -> ActiveRun:
    """Make the handle again in another process, to which it was sent."""
    return handle_of(Place(Repo(root), job_id, attempt, claim))
