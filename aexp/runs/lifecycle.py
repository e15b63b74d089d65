"""Run a block of Python as a run: status, heartbeat, ledger, without a command."""

import os
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aexp.errors import AexpError, StatusError
from aexp.model import COMPLETE, FAILED, QUEUED, RUNNING, Run, short
from aexp.paths import Repo
from aexp.runs import claims
from aexp.runs.claims import Claim
from aexp.runs.heartbeat import beat, interval_s
from aexp.runs.outcome import Outcome
from aexp.runs.settle import check_unclaimed, settle_dead_attempt
from aexp.runs.status import begin_attempt, end_attempt
from aexp.runs.store import read_run

if TYPE_CHECKING:
    from signac.job import Job


@contextmanager
def run_lifecycle(
    job: "Job", *, mark_started: bool = True, heartbeat_s: float | None = None
) -> Iterator["Job"]:
    """Execute a block as a run: ``running`` at its start, ``complete`` or ``failed`` at its end.

    An exception fails the run, with the traceback's end in ``last_error``, and goes on.
    Ctrl-C and a system exit decide nothing: the run goes back to what it was. Inside a
    command that ``aexp run-queued`` executes, the wrapper owns the status and this block
    only passes through.

    Parameters
    ----------
    job : signac Job
        A created or queued run.
    mark_started : bool, default True
        False leaves the status alone until the block ends.
    heartbeat_s : float, optional
        Seconds between heartbeats; default ``AEXP_HEARTBEAT_S`` or 30; 0 turns them off.

    Raises
    ------
    StatusError
        If somebody else executes the run, or it has ended.
    """
    repo, job_id = Repo.installed(job.project.path), str(job.id)
    if os.environ.get("AEXP_JOB_ID") == job_id and os.environ.get(claims.MARKER_VARIABLE):
        yield job
        return
    with executing(repo, job_id, mark_started=mark_started, heartbeat_s=heartbeat_s):
        yield job


def end_of_block(error: BaseException | None) -> Outcome:
    """Return what a block's end means: a failure, a result, or, from outside, nothing."""
    if error is None:
        return Outcome(COMPLETE, returncode=0)
    if not isinstance(error, Exception):
        return Outcome(QUEUED, cause="interrupted")
    text = "".join(traceback.format_exception(error))
    return Outcome(FAILED, message=f"{type(error).__name__}: {error}", tail=text[-2048:])


@contextmanager
def executing(
    repo: Repo,
    job_id: str,
    *,
    mark_started: bool = True,
    heartbeat_s: float | None = None,
    end: Callable[[BaseException | None], Outcome] = end_of_block,
    on_beat: Callable[[], None] | None = None,
    by_hand: Mapping[str, Any] | None = None,
) -> Iterator[Run | None]:
    """Execute a block as a run, as `run_lifecycle` says, without signac.

    Yields the run with its new attempt, None unless `mark_started`. `end` says what the end
    of the block means; `on_beat` is called after every heartbeat; `by_hand` says how the
    process was started.
    """
    claim = _claim(repo, job_id)
    try:
        run = _begin(repo, claim, by_hand) if mark_started else None
        with _heartbeat(repo, claim, interval_s(heartbeat_s), on_beat):
            try:
                yield run
            except BaseException as error:
                if not mark_started and isinstance(error, Exception):
                    _begin(repo, claim, by_hand)
                end_attempt(repo, job_id, end(error), claim=claim)
                raise
        if not mark_started:
            _begin(repo, claim, by_hand)
        end_attempt(repo, job_id, end(None), claim=claim)
    finally:
        claims.release(repo, claim)


def _begin(repo: Repo, claim: Claim, by_hand: Mapping[str, Any] | None) -> Run:
    run = begin_attempt(repo, claim, by_hand=by_hand or {})
    if run.is_terminal:
        raise StatusError(
            f"run {short(run.job_id)} has been stopped",
            f"to run it again: aexp queue retry {short(run.job_id)}",
        )
    return run


def _claim(repo: Repo, job_id: str) -> Claim:
    run = read_run(repo, job_id)
    if run.is_terminal:
        raise StatusError(
            f"run {short(job_id)} is already {run.status}",
            f"to run it again: aexp queue retry {short(job_id)}",
        )
    owner = claims.read_owner(repo, job_id)
    got = claims.acquire(repo, job_id)
    if not isinstance(got, Claim):
        raise StatusError(
            f"run {short(job_id)} is being executed: {got.liveness.reason}",
            f"wait for it, or: aexp queue stop {short(job_id)}",
        )
    if run.status == RUNNING:
        _settle(repo, got, run, owner)
    return got


def _settle(repo: Repo, claim: Claim, run: Run, owner: claims.Owner | None) -> None:
    try:
        if owner is None:
            check_unclaimed(repo, run)
        settled = settle_dead_attempt(repo, run.job_id, "its owner has ended", owner)
        if settled.is_terminal:
            raise StatusError(
                f"run {short(run.job_id)} is now {settled.status}",
                f"to run it again: aexp queue retry {short(run.job_id)}",
            )
    except AexpError:
        claims.release(repo, claim)
        raise


@contextmanager
def _heartbeat(
    repo: Repo, claim: Claim, every_s: float, on_beat: Callable[[], None] | None
) -> Iterator[None]:
    if every_s <= 0:
        yield
        return
    done = threading.Event()

    # The first before the block begins: what that writes into signac's document without our
    # lock would be lost to a beat at the same moment.
    beat(repo, claim)

    def beats() -> None:
        while not done.wait(every_s):
            beat(repo, claim)
            if on_beat is not None:
                on_beat()

    thread = threading.Thread(target=beats, name="aexp-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
