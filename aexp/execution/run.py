"""Execute one run: the only code path, whoever calls it."""

import time
from typing import TYPE_CHECKING

from aexp import slurm
from aexp.errors import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_TEMPFAIL,
    AexpError,
    CorruptFile,
    StatusError,
)
from aexp.execution.attempt import Attempt
from aexp.execution.plan import plan_command
from aexp.execution.signals import SignalBox
from aexp.execution.terminal import say
from aexp.model import (
    COMPLETE,
    CREATED,
    FAILED,
    QUEUED,
    RUNNING,
    TERMINAL_STATUSES,
    Run,
    short,
)
from aexp.paths import Repo
from aexp.runs import claims
from aexp.runs.again import requeue
from aexp.runs.claims import Claim, Held
from aexp.runs.outcome import Outcome
from aexp.runs.parents import parent_statuses
from aexp.runs.publish import restore_outputs
from aexp.runs.settle import check_unclaimed, settle_dead_attempt
from aexp.runs.status import abandon
from aexp.runs.store import read_intact_run, read_run, resolve_id

if TYPE_CHECKING:
    from pathlib import Path

_WAIT_MAX_S = 2.0
_WAIT_SLURM_S = 15.0  # each look asks the controller


def run_queued(
    job_id: str,
    *,
    repo_root: "str | Path | Repo | None" = None,
    force: bool = False,
    dry_run: bool = False,
    engine: bool = False,
    remote: bool = False,
    adopt: bool = False,
    wait: bool | None = None,
) -> int:
    """Execute one queued run to its end.

    Parameters
    ----------
    job_id : str
        The run's id or a unique beginning of it.
    repo_root : str, Path or Repo, optional
        Default: the repository around the current folder.
    force : bool, default False
        Queue an ended run again first.
    dry_run : bool, default False
        Print the command and change nothing.
    engine : bool, default False
        The caller is Snakemake: exit 0 for every recorded end, whatever it is.
    remote : bool, default False
        Snakemake has submitted this run as a job of its own: give the job back, instead
        of trying again in it.
    adopt : bool, default False
        Take over a run whose owner is not known to be dead.
    wait : bool, optional
        Wait for another process that executes the run. Default: wait, except inside a
        Slurm allocation, which is given back at once.

    Returns
    -------
    int
        0 complete, or skipped because it had ended before; 1 ended otherwise (0 with
        `engine`); 75 the run is queued, to be tried again.
    """
    repo = repo_root if isinstance(repo_root, Repo) else Repo.find(repo_root)
    with SignalBox() as signals:
        return execute_run(
            repo.require_store(),
            job_id,
            signals,
            force=force,
            dry_run=dry_run,
            engine=engine,
            remote=remote,
            adopt=adopt,
            wait=wait,
        )


def execute_run(
    repo: Repo,
    job_id: str,
    signals: SignalBox,
    *,
    force: bool = False,
    dry_run: bool = False,
    engine: bool = False,
    remote: bool = False,
    adopt: bool = False,
    wait: bool | None = None,
) -> int:
    """Do what `run_queued` says, for a caller that watches the signals itself."""
    full_id = resolve_id(repo, job_id)
    run = read_intact_run(repo, full_id)
    if dry_run:
        print(plan_command(repo, run).command)
        return EXIT_OK
    waits = slurm.allocation() is None if wait is None else wait
    execution = _Execution(
        repo, full_id, signals, engine=engine, remote=remote, adopt=adopt, wait=waits
    )
    return execution.start(force)


class _Execution:
    """One call of `run_queued`."""

    def __init__(
        self,
        repo: Repo,
        job_id: str,
        signals: SignalBox,
        *,
        engine: bool,
        remote: bool,
        adopt: bool,
        wait: bool,
    ) -> None:
        self.repo = repo
        self.job_id = job_id
        self.signals = signals
        self.engine = engine
        self.remote = remote
        self.adopt = adopt
        self.wait = wait

    def say(self, text: str) -> None:
        """Tell the caller what happens, beside the command's own output."""
        say(f"{short(self.job_id)}: {text}")

    def start(self, force: bool) -> int:
        """Bring the run to an end, or say why it cannot be brought there now."""
        run = read_run(self.repo, self.job_id)
        if run.is_terminal and not force:
            return self._already(run)
        if run.is_terminal:
            run = requeue(self.repo, self.job_id)
        if run.status == CREATED:
            state = "was executed by hand and is not" if run.attempts else "was created but never"
            raise StatusError(
                f"run {short(self.job_id)} {state} queued",
                "queue it with: aexp queue add, with the same configuration",
            )
        blocked = self._check_parents(run)
        if blocked is not None:
            return blocked
        while not self.signals.ending:
            # Read before the claim: afterwards the dead owner's own words are gone.
            before = _owner_or_none(self.repo, self.job_id)
            got = claims.acquire(self.repo, self.job_id, adopt=self.adopt)
            if isinstance(got, Claim):
                return self._with_claim(got, before)
            if got.owner is None:
                raise CorruptFile(
                    got.liveness.reason,
                    f"if nothing executes this run: aexp queue release {short(self.job_id)}",
                )
            if not self.wait:
                self.say(f"is being executed elsewhere: {got.liveness.reason}")
                return EXIT_TEMPFAIL
            if not self._wait_for(got):
                return EXIT_TEMPFAIL
            run = read_run(self.repo, self.job_id)
            if run.is_terminal:
                return self._already(run)
        return EXIT_TEMPFAIL

    def _already(self, run: Run) -> int:
        restore_outputs(self.repo, run)
        self.say(f"skipping, already {run.status}")
        return EXIT_OK

    def _check_parents(self, run: Run) -> int | None:
        for parent, status in parent_statuses(self.repo, run).items():
            if status in TERMINAL_STATUSES and status != COMPLETE:
                message = f"its parent {short(parent)} is {status}"
                abandon(self.repo, self.job_id, "parent_failed", message)
                self.say(f"abandoned: {message}")
                return EXIT_OK if self.engine else EXIT_FAILED
            if status != COMPLETE:
                self.say(f"waits for its parent {short(parent)}, which is {status or 'unknown'}")
                return EXIT_TEMPFAIL
        return None

    def _wait_for(self, held: Held) -> bool:
        """Wait until the present owner is done or dead; False when a signal came first."""
        self.say(f"waiting, it is being executed elsewhere: {held.liveness.reason}")
        pause = 0.05
        while not self.signals.ending:
            time.sleep(pause)
            owner = _owner_or_none(self.repo, self.job_id)
            asks_slurm = owner is not None and owner.slurm_job_id is not None
            pause = min(pause * 1.5, _WAIT_SLURM_S if asks_slurm else _WAIT_MAX_S)
            if owner is None or (held.owner and owner.nonce != held.owner.nonce):
                return True
            if claims.liveness(owner).state == slurm.DEAD:
                return True
        return False

    def _with_claim(self, claim: Claim, before: claims.Owner | None) -> int:
        try:
            run = read_run(self.repo, self.job_id)
            if run.status == RUNNING:
                if before is None:
                    check_unclaimed(self.repo, run, adopt=self.adopt)
                reason = "its owner has ended without a word"
                run = settle_dead_attempt(self.repo, self.job_id, reason, before)
                self.say(f"{reason}; now {run.status}")
            if run.is_terminal:
                restore_outputs(self.repo, run)
                return self._code(run)
            restore_outputs(self.repo, run)
            while run.status == QUEUED and not self.signals.ending:
                attempt = Attempt(self.repo, claim, self.signals, self.say)
                run, outcome = attempt.execute()
                # Not in a Slurm job of the engine's: that is given back, the next attempt
                # gets one of its own.
                if outcome is None or self.remote or not self._at_once(outcome):
                    break
            return self._code(run)
        finally:
            claims.release(self.repo, claim)

    def _at_once(self, outcome: Outcome) -> bool:
        """Return whether the next attempt may begin here and now.

        That of a failing command may, and one that the command has asked for of its own
        accord, but not where the time is allotted: there is mostly none left.
        """
        if outcome.again:
            return slurm.allocation() is None and not self.signals.has_warned
        return outcome.status == FAILED and not outcome.fault

    def _code(self, run: Run) -> int:
        if not run.is_terminal:
            return EXIT_TEMPFAIL
        return EXIT_OK if self.engine or run.status == COMPLETE else EXIT_FAILED


def _owner_or_none(repo: Repo, job_id: str) -> claims.Owner | None:
    try:
        return claims.read_owner(repo, job_id)
    except AexpError:
        return None
