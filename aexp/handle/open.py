"""How training code gets its run: the current one, a new one, or one by its id."""

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aexp.errors import AexpError, ParameterError, StatusError, UsageError
from aexp.handle.place import Place, place_of_environment
from aexp.handle.run import ActiveRun, handle_of
from aexp.model import printable, short
from aexp.paths import Repo

if TYPE_CHECKING:
    from pathlib import Path

    from aexp.kb.conditions import Resolver


def current() -> ActiveRun:
    """Return the run that this process is part of.

    It is found by the environment that the run's command was given, whatever the working
    directory is.

    Raises
    ------
    StatusError
        Outside a run.
    """
    place = place_of_environment()
    if place is None:
        raise StatusError(
            "this process is not part of a run",
            "queue it: aexp queue add; or write: with aexp.start(experiment=..., sp=...) as run:",
        )
    return _handle_in_run(place)


def start(
    experiment: str | None = None,
    sp: Mapping[str, Any] | None = None,
    hypothesis: str | None = None,
    *,
    sub_hypothesis: str | None = None,
    include_commit: bool = True,
    again: bool = False,
    repo_root: "str | Path | None" = None,
) -> ActiveRun:
    """Return the current run inside a queued one, else a run of this configuration.

    The latter is created unless it exists, and executed by its ``with`` block. So the same
    script runs by hand and from the queue, where the queue's configuration holds. Within a
    block by hand, and in processes that it starts, it is the block's run.

    Parameters
    ----------
    experiment : str, optional
        The experiment, for instance ``E001``; needed outside a queued run. Its ``tracker:``
        applies.
    sp : mapping, optional
        The configuration; the experiment's ``conditions:`` and ``parameters:`` apply.
    hypothesis, sub_hypothesis : str, optional
        Default: the experiment's hypothesis; none.
    include_commit : bool, default True
        Whether the code's version is part of the run's identity.
    again : bool, default False
        Execute a run that has ended once more, as ``aexp queue retry`` does; its earlier
        attempts are kept.
    repo_root : str or Path, optional
        Default: the repository around the current folder.

    Raises
    ------
    StatusError
        Within a block by hand, if its run has another configuration.
    """
    if sp is not None and not isinstance(sp, Mapping):
        raise UsageError(
            f"sp is {type(sp).__name__}, not a mapping", 'write it like sp={"lr": 0.1, "seed": 0}'
        )
    if experiment is not None and not isinstance(experiment, str):
        raise UsageError(
            f"the experiment is {type(experiment).__name__}, not text", 'write it like "E001"'
        )
    place = place_of_environment()
    if place is not None:
        _check_same(place, experiment, sp or {})
        return _handle_in_run(place)
    if experiment is None:
        raise UsageError(
            "outside a queued run an experiment is needed",
            'write aexp.start(experiment="E001", sp={"lr": 0.1}), or queue it: aexp queue add',
        )
    from aexp.kb.conditions import Resolver
    from aexp.kb.experiments import load_experiment
    from aexp.runs.create import create_plain_run

    repo = Repo.installed(repo_root)
    found = load_experiment(repo, experiment)
    tracker = found.tracker
    if tracker is not None:
        from aexp.trackers.binding import check_settings

        tracker = check_settings(tracker)
    job_id, _ = create_plain_run(
        repo,
        experiment,
        _state_point(Resolver(found), sp or {}),
        hypothesis_id=hypothesis or found.hypothesis_id,
        sub_hypothesis_id=sub_hypothesis,
        init_doc={"aexp_run": {"tracker": tracker}} if tracker else None,
        include_commit=include_commit,
    )
    return ActiveRun(Place(repo, job_id), again=again)


def run(run_id: str, *, again: bool = False, repo_root: "str | Path | None" = None) -> ActiveRun:
    """Return a handle of the run whose id begins with `run_id`.

    Its ``with`` block executes a created or queued run. Without one it can be read, linked
    and given assets, also when it has ended.

    Parameters
    ----------
    run_id : str
        The beginning of its id.
    again : bool, default False
        Let the ``with`` block execute a run that has ended once more.
    repo_root : str or Path, optional
        Default: the repository around the current folder.

    Raises
    ------
    RunNotFound
        If none, or more than one, begins so.
    """
    if not isinstance(run_id, str):
        raise UsageError(
            f"a run's id is text, not {type(run_id).__name__}",
            'write it like aexp.run("2be3f41c"); ids: aexp list-runs',
        )
    place = place_of_environment()
    if place is not None and place.job_id == run_id.strip().lower():
        return _handle_in_run(place)
    from aexp.runs.store import resolve_id

    repo = Repo.installed(repo_root) if repo_root or place is None else place.repo
    job_id = resolve_id(repo, run_id)
    if place is not None and place.job_id == job_id and place.repo.root == repo.root:
        return _handle_in_run(place)
    return ActiveRun(Place(repo, job_id), again=again)


def _check_same(place: Place, experiment: str | None, sp: Mapping[str, Any]) -> None:
    """Refuse another run than the one whose block, executed by hand, is open."""
    if not sp and experiment is None:
        return
    from aexp.runs.store import read_run

    run = read_run(place.repo, place.job_id)
    if not run.attempts or "by_hand" not in run.attempts[-1]:
        return  # in a queued run the queue's configuration holds
    from aexp.kb.conditions import RESERVED_KEYS

    wanted = dict(sp)
    if sp and experiment is not None:
        from aexp.kb.conditions import Resolver
        from aexp.kb.experiments import load_experiment

        wanted = _state_point(Resolver(load_experiment(place.repo, experiment)), sp)
    others = [key for key in wanted if key in run.sp and _json(wanted[key]) != run.sp[key]]
    if sp and experiment is not None:  # else they are the arguments of a helper within the run
        others += sorted(wanted.keys() ^ (run.sp.keys() - RESERVED_KEYS))
    if experiment not in (None, run.experiment_id):
        others.insert(0, "experiment")
    if others:
        raise StatusError(
            f"run {short(run.job_id)} is being executed by hand here, and has another "
            f"configuration: {', '.join(map(printable, others))}",
            "end its block first; for several at once use processes that you start outside of "
            "a block, or the queue",
        )


def _state_point(resolver: "Resolver", sp: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return resolver.state_point(sp)
    except ParameterError as error:
        if error.hint and "--" in error.hint:  # an option of the command line
            raise ParameterError(
                error.message, "correct the key or the name, or the experiment's file"
            ) from None
        raise


def _json(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return value


def _handle_in_run(place: Place) -> ActiveRun:
    if os.environ.get("AEXP_PYTHON", sys.prefix) != sys.prefix:
        from aexp.environment.record import record_training_python

        with contextlib.suppress(AexpError, OSError):  # a remark about the run, not the run
            record_training_python(place.repo, place.job_id, place.attempt)
    return handle_of(place)
