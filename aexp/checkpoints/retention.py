"""Retention: which checkpoints of a run are kept, why, and dropping the others."""

import contextlib
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from aexp.checkpoints.discard import discard
from aexp.checkpoints.find import by_metric
from aexp.checkpoints.manifest import CHECKPOINT, FINAL
from aexp.checkpoints.objects import Objects
from aexp.checkpoints.past import past_in
from aexp.checkpoints.pins import keeping, pins_of
from aexp.checkpoints.store import Checkpoint, checkpoints_dir, drop, list_checkpoints
from aexp.checkpoints.uploads import missing_at_required
from aexp.checkpoints.uses import uses
from aexp.checkpoints.verify import SIZE, problems, way_for
from aexp.errors import AexpError, CorruptFile
from aexp.kb.experiments import find_experiment, load_experiment
from aexp.kb.retention import Retention
from aexp.paths import Repo
from aexp.runs.store import read_run

# Experiment's file to the time of its last change and its policy, as this process read it.
_policies: dict[str, tuple[int, Retention | None]] = {}
# Where looking through the runs takes long, it takes a twentieth of the time at most: what
# is over is dropped at a later save then.
_SLOW_S, _REST = 0.5, 19
_not_before: dict[str, float] = {}


class Verdict(NamedTuple):
    """What becomes of one checkpoint.

    Attributes
    ----------
    checkpoint : Checkpoint
        Which one.
    reasons : tuple of str
        Why it is kept; none: it is dropped.
    """

    checkpoint: Checkpoint
    reasons: tuple[str, ...]

    @property
    def is_kept(self) -> bool:
        """Whether it stays."""
        return bool(self.reasons)


class Pruned(NamedTuple):
    """What was done, or would be, with the checkpoints of one run.

    Attributes
    ----------
    job : str
        The run.
    verdicts : list of Verdict
        Of each, the newest first.
    freed_bytes : int
        What the disk got back; equal files of other checkpoints stay. 0 in a dry run.
    """

    job: str
    verdicts: list[Verdict]
    freed_bytes: int = 0

    @property
    def dropped(self) -> list[Checkpoint]:
        """Those that are not kept."""
        return [item.checkpoint for item in self.verdicts if not item.is_kept]


def judge(
    repo: Repo,
    job_id: str,
    policy: Retention | None,
    *,
    verify: str | None = None,
    damaged: bool = False,
) -> list[Verdict]:
    """Decide about each checkpoint of a run, the newest first; nothing is changed.

    Those of a run that was complete and has started afresh since come last, and are judged
    by themselves.

    Whatever the policy says, there stay: the newest that is whole, what is pinned, what a
    run needs, what a required remote lacks, snapshots, and, unless asked for, damaged ones.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    policy : Retention or None
        None keeps all that are whole.
    verify : str, optional
        How the newest one is looked at: ``size`` or ``hash``; default: its files are read
        unless they are over 10 GB.
    damaged : bool, default False
        Whether damaged ones, which no policy counts, are dropped.

    Raises
    ------
    CorruptFile
        If the run's pins cannot be read.
    """
    past = past_in(repo, job_id)
    found = sorted(list_checkpoints(repo, job_id), key=past.holds)  # what is past comes last
    why: dict[Checkpoint, list[str]] = {item: [] for item in found}
    whole = _whole(found, verify)
    candidates = [item for item in found if item in whole and item.kind == CHECKPOINT]
    for item in found:
        if item not in whole:
            # Where nothing is whole, what is damaged may be all that can be rescued.
            why[item] += [] if damaged and candidates else ["damaged"]
        elif item.kind != CHECKPOINT:
            why[item].append("snapshot")
    if candidates:
        why[candidates[0]].append("newest")
    if policy is None:
        for item in candidates[1:]:
            why[item].append("no policy")
    else:  # each of them has its own last and its own best
        _apply(policy, [item for item in candidates if not past.holds(item)], why)
        _apply(policy, [item for item in candidates if past.holds(item)], why)
    pins = pins_of(repo, job_id)
    open_ids = {item.id for item, reasons in why.items() if not reasons}
    needed = uses(repo, open_ids) if open_ids else {}
    missing = missing_at_required(repo, job_id) if open_ids else set()
    for item, reasons in why.items():
        if item.id in pins:
            reasons.append("pinned")
        if item.id in needed:
            reasons.append(needed[item.id])
        if item.id in missing and item in whole:
            reasons.append("not yet at a required remote")
    return [Verdict(item, tuple(dict.fromkeys(why[item]))) for item in found]


def _whole(found: Sequence[Checkpoint], verify: str | None) -> set[Checkpoint]:
    """Return those whose files are there; the newest is looked at more closely."""
    whole = {item for item in found if not problems(item, SIZE)}
    for item in found:
        if item in whole and item.kind == CHECKPOINT:
            way = verify or way_for(item)
            if way == SIZE or not problems(item, way):
                break
            whole.discard(item)
    return whole


def _apply(
    policy: Retention, candidates: Sequence[Checkpoint], why: dict[Checkpoint, list[str]]
) -> None:
    for item in candidates[: policy.keep_last]:
        why[item].append(f"last {policy.keep_last}")
    if policy.keep_every is not None:
        first: dict[int, Checkpoint] = {}
        for item in candidates:  # from the newest on, so the first of each span stays
            span = (item.step or 0) // policy.keep_every
            if span not in first or first[span].step != item.step:
                first[span] = item
        for item in first.values():
            why[item].append(f"every {policy.keep_every}")
    for best in policy.keep_best:
        for item in by_metric(candidates, best.metric, best.mode)[: best.number]:
            why[item].append(f"best {best.metric}")
    if policy.keep_final:
        for item in candidates:
            if item.manifest.reason == FINAL:
                why[item].append("final")


def prune(
    repo: Repo,
    job_id: str,
    policy: Retention | None,
    *,
    verify: str | None = None,
    damaged: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Drop what `judge` does not keep; a kill in between leaves whole checkpoints only."""
    if not os.path.isdir(checkpoints_dir(repo, job_id)):
        return Pruned(job_id, [])
    if dry_run:
        return Pruned(job_id, judge(repo, job_id, policy, verify=verify, damaged=damaged))
    with keeping(repo, job_id):
        done = Pruned(job_id, judge(repo, job_id, policy, verify=verify, damaged=damaged))
        freed = sum(drop_checkpoint(repo, item) for item in done.dropped)
    return done._replace(freed_bytes=freed)


def drop_checkpoint(repo: Repo, checkpoint: Checkpoint) -> int:
    """Drop one checkpoint and the objects that nobody else has; return the bytes freed."""
    own = 0
    for path in checkpoint.files:
        with contextlib.suppress(OSError):
            state = os.lstat(checkpoint / path)
            own += state.st_size if state.st_nlink == 1 else 0
    drop(repo, checkpoint)
    objects = Objects(repo)
    digests = {component.sha256 for component in checkpoint.manifest.components}
    return own + sum(discard(objects, digest) or 0 for digest in sorted(digests))


def policy_of(repo: Repo, job_id: str) -> Retention | None:
    """Return the policy in the note of a run's experiment, read again when it has changed.

    Raises
    ------
    AexpError
        If the note, or what it says, cannot be read.
    """
    experiment_id = read_run(repo, job_id).experiment_id
    if experiment_id is None:
        return None
    path = find_experiment(repo, experiment_id)
    try:
        changed = os.stat(path).st_mtime_ns
    except OSError as error:
        raise CorruptFile(f"cannot read {path}: {error.strerror or error}") from error
    known = _policies.get(path)
    if known is None or known[0] != changed:
        known = _policies[path] = (changed, load_experiment(repo, experiment_id).retention)
    return known[1]


def prune_after_save(repo: Repo, job_id: str, policy: Retention | None = None) -> Pruned | None:
    """Drop what the policy does not keep, once a checkpoint has been saved.

    The newest is looked at by size: whoever saved it has just hashed it.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    policy : Retention, optional
        Default: the experiment's.

    Raises
    ------
    AexpError
        If it cannot be done now; nothing that must stay was dropped.
    """
    chosen = policy or policy_of(repo, job_id)
    if chosen is None:
        return None
    began = time.monotonic()
    if began < _not_before.get(repo.root, 0.0):
        return None
    try:
        return prune(repo, job_id, chosen, verify=SIZE)
    except OSError as error:
        raise AexpError(f"cannot drop old checkpoints: {error.strerror or error}") from error
    finally:
        took = time.monotonic() - began
        if took > _SLOW_S:
            _not_before[repo.root] = time.monotonic() + took * _REST
