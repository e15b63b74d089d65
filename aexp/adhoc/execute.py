"""``aexp exec``: record a command as a run, and execute it at once."""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aexp import slurm
from aexp.adhoc.script import Script
from aexp.campaigns.write import joining, open_campaign
from aexp.environment.scrub import scrub, scrub_arguments
from aexp.errors import EXIT_FAILED, EXIT_OK, AexpError, StatusError, UsageError
from aexp.execution.attempt import Attempt
from aexp.execution.plan import Plan
from aexp.execution.signals import SignalBox
from aexp.execution.terminal import say
from aexp.files import read_object
from aexp.git import CodeState
from aexp.kb.declared_files import check_pattern
from aexp.model import COMPLETE, CREATED, RUNNING, Run, printable, short
from aexp.paths import STATEPOINT, Repo
from aexp.preregistration.register import Registrar
from aexp.runs import claims
from aexp.runs.adhoc import (
    check_labels,
    command_text,
    create_adhoc,
    document,
    known_code,
    new_nonce,
    state_point,
)
from aexp.runs.again import requeue
from aexp.runs.claims import Claim
from aexp.runs.outcome import Outcome
from aexp.runs.settle import settle_dead_attempt
from aexp.runs.status import abandon
from aexp.runs.store import compute_job_id, read_run, run_ids


class AdhocRun(NamedTuple):
    """A command that is to be executed, checked, not yet written.

    Attributes
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run that it will be.
    sp, doc : dict
        Its state point and job document; no document where the run exists already.
    plan : Plan
        What is executed.
    campaign : str or None
        The campaign that it joins.
    """

    repo: Repo
    job_id: str
    sp: dict[str, Any]
    doc: dict[str, Any]
    plan: Plan
    campaign: str | None = None


def prepare_adhoc(
    repo: Repo,
    argv: Sequence[str],
    *,
    name: str | None = None,
    tags: Sequence[str] = (),
    derived_from: Sequence[str] = (),
    campaign: str | None = None,
    outputs: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
    no_sidecar: bool = False,
    agent_mode: str | None = None,
    script: Script | None = None,
) -> AdhocRun:
    """Check all that is said about a command; nothing is written.

    Parameters
    ----------
    repo : Repo
        An installed repository.
    argv : sequence of str
        The command and its arguments, as the system is to execute them: no shell reads them.
    name, tags, derived_from
        See `aexp.runs.adhoc.Labels`; of parents the beginning of an id is enough.
    campaign : str, optional
        The campaign that the run joins.
    outputs : sequence of str
        Patterns of the files that it makes, relative to the repository.
    parameters : mapping, optional
        Its configuration, for tables and questions.
    no_sidecar : bool, default False
        Pass over the script's pre-registration; counted.
    agent_mode : str, optional
        Who decides: ``collaborative`` or ``autonomous``.
    script : Script, optional
        The batch script that the command is.

    Raises
    ------
    UsageError, ParameterError, RunNotFound, CampaignNotFound, CampaignRefused
        If something of it cannot be.
    GateError
        If its script must have a sidecar and has none.
    """
    if not argv or not argv[0]:
        raise UsageError("there is no command", "write it after --: aexp exec -- python train.py")
    if any("\0" in word for word in argv):
        raise UsageError("a command cannot hold a NUL character", "give binary data in a file")
    here = _folder(repo)
    shown = scrub_arguments(list(script.shown(repo) if script is not None else argv))
    given = scrub(dict(parameters or {}))
    made = _Maker(shown, here, given, slurm.array_task(), known_code(repo))
    sp = made.of_script(repo) if script is not None else made.with_nonce(new_nonce())
    job_id = compute_job_id(sp)
    plan = Plan(
        list(argv),
        command_text(shown, here),
        cwd=os.getcwd(),
        reads_stdin=not sys.stdin.isatty() if sys.stdin is not None else False,
        is_script=script is not None,
    )
    if os.path.isdir(repo.run_dir(job_id)):
        # A Slurm job that starts again: what was said when it began holds. A campaign that was
        # concluded meanwhile, or a broken sidecar, must not cost its record.
        return AdhocRun(repo, job_id, sp, {}, plan, _if_open(repo, campaign))
    labels = check_labels(repo, name=name, tags=tags, derived_from=derived_from)
    if campaign is not None:
        campaign = open_campaign(repo, campaign).campaign_id
    record: dict[str, Any] = {}
    if outputs:
        record["declared"] = {"outputs": [check_pattern("--out", item) for item in outputs]}
    registrar = Registrar(repo, use_sidecar=not no_sidecar, agent_mode=agent_mode)
    registered = registrar.of_arguments(_from_top(shown, here))
    if registered.record is not None:
        record["preregistration"] = registered.record
    for warning in registered.warnings:
        say(warning)
    return AdhocRun(repo, job_id, sp, document(labels, record), plan, campaign)


def _if_open(repo: Repo, campaign: str | None) -> str | None:
    with contextlib.suppress(AexpError):
        return None if campaign is None else open_campaign(repo, campaign).campaign_id
    return None


def _folder(repo: Repo) -> str:
    """Return the present folder relative to the repository; its top, where it lies outside."""
    here = os.path.relpath(os.path.realpath(os.getcwd()), os.path.realpath(repo.root))
    return "." if here.split(os.sep)[0] == os.pardir else here


def _from_top(argv: Sequence[str], here: str) -> list[str]:
    """Return a command with its files as they are called from the repository's top."""
    return [os.path.join(here, word) if os.path.isfile(word) else word for word in argv]


class _Maker(NamedTuple):
    """Makes the state point, once the nonce is known."""

    argv: list[str]
    cwd: str
    parameters: Mapping[str, Any]
    task: int | None
    code: CodeState | None

    def with_nonce(self, nonce: str) -> dict[str, Any]:
        return state_point(
            nonce,
            self.parameters,
            argv=self.argv,
            cwd=self.cwd,
            array_task=self.task,
            code=self.code,
        )

    def of_script(self, repo: Repo) -> dict[str, Any]:
        """Return the state point of a batch script.

        A Slurm job that starts again, after a requeue, is the run that it was before, unless
        another commit of the code is checked out. Numbers of jobs are used again after years.
        """
        allocation = slurm.allocation()
        if allocation is None:
            return self.with_nonce(new_nonce())
        sp = self.with_nonce(f"slurm-{slurm.cluster() or ''}-{allocation}")
        if not slurm.restart_count():
            is_known = os.path.isdir(repo.run_dir(compute_job_id(sp)))
            return self.with_nonce(new_nonce()) if is_known else sp
        # Its earlier start may have left files in the repository that git does not have.
        for one in (sp, {**sp, "code_dirty": not sp.get("code_dirty")}):
            if os.path.isdir(repo.run_dir(compute_job_id(one))):
                return one
        return _before_an_edit(repo, sp) or sp


def _before_an_edit(repo: Repo, sp: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the state point with which a Slurm job has started that starts again.

    Who edits the script for the next job makes Slurm's copy, which is executed, one of no name.
    """
    found = []
    for job_id in run_ids(repo):
        with contextlib.suppress(AexpError):
            one = read_object(repo.run_file(job_id, STATEPOINT)) or {}
            if one.get("nonce") == sp["nonce"] and _is_same_job(one, sp):
                found.append(one)
    return found[0] if len(found) == 1 else None


def _is_same_job(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if any(
        one.get(key) != other.get(key)
        for key in one.keys() | other.keys()
        if key not in ("argv", "code_dirty")
    ):
        return False
    words, others = one.get("argv"), other.get("argv")
    if not isinstance(words, list) or not isinstance(others, list) or len(words) != len(others):
        return False
    return len([1 for word, now in zip(words, others, strict=True) if word != now]) <= 1


def execute_adhoc(wanted: AdhocRun) -> int:
    """Write the run, execute its command to its end, and return the command's exit code.

    The id is told on stderr when it begins and when it ends. Signals are passed on to the
    command; what they end is recorded.
    """
    repo, job_id = wanted.repo, wanted.job_id
    with SignalBox() as signals:
        _write(wanted)
        say(f"run {job_id}: {printable(wanted.plan.command)}")
        before = _owner_or_none(repo, job_id)  # of a Slurm job that starts again
        got = claims.acquire(repo, job_id)
        if not isinstance(got, Claim):
            raise StatusError(
                f"run {short(job_id)} is being executed: {got.liveness.reason}",
                f"wait for it, or: aexp queue stop {short(job_id)}",
            )
        try:
            _bring_back(repo, job_id, before)
            attempt = Attempt(repo, got, signals, _teller(job_id), wanted.plan)
            run, outcome = attempt.execute()
            if outcome is None and run.status == CREATED:
                run = abandon(repo, job_id, "interrupted", "interrupted before it began")
        finally:
            claims.release(repo, got)
        code = _exit_code(run, outcome, signals.ending)
        seconds = run.attempts[-1].get("wallclock_s") if run.attempts else None
        took = f", {seconds:.1f} s" if isinstance(seconds, float) else ""
        say(f"run {job_id}: {run.status}{took}")
        return code


def _write(wanted: AdhocRun) -> None:
    if wanted.campaign is None:
        _create(wanted)
        return
    with joining(wanted.repo, wanted.campaign) as join:
        _create(wanted)
        join.add(wanted.job_id)


def _create(wanted: AdhocRun) -> None:
    if wanted.doc:
        create_adhoc(wanted.repo, wanted.sp, wanted.doc)


def _owner_or_none(repo: Repo, job_id: str) -> claims.Owner | None:
    try:
        return claims.read_owner(repo, job_id)
    except AexpError:
        return None


def _bring_back(repo: Repo, job_id: str, before: claims.Owner | None) -> None:
    """Make the run of a Slurm job that starts again ready for its next attempt."""
    run = read_run(repo, job_id)
    if run.status == RUNNING:
        run = settle_dead_attempt(repo, job_id, "Slurm has started its job again", before)
    if run.is_terminal:
        requeue(repo, job_id)


def _teller(job_id: str) -> Any:
    return lambda text: say(f"{short(job_id)}: {text}")


def _exit_code(run: Run, outcome: Outcome | None, ending: Sequence[int]) -> int:
    """Return what the command has returned, as a shell says it."""
    code = outcome.returncode if outcome is not None else None
    if code is None and run.status != COMPLETE and ending:
        code = -ending[0]
    if code is None:
        return EXIT_OK if run.status == COMPLETE else EXIT_FAILED
    if code < 0:
        return 128 - code
    if code == 0 and ending and run.status != COMPLETE:
        return 128 + ending[0]
    return code or (EXIT_OK if run.status == COMPLETE else EXIT_FAILED)
