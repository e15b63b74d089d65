"""Calls of a function as ad-hoc runs: what of the arguments and the result can be recorded."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from aexp.environment.scrub import scrub
from aexp.errors import AexpError
from aexp.handle.place import Place
from aexp.handle.run import ActiveRun
from aexp.model import printable
from aexp.paths import Repo
from aexp.runs.adhoc import (
    ADHOC,
    check_labels,
    create_adhoc,
    discard_unbegun,
    document,
    known_code,
    new_nonce,
    state_point,
    write_labels,
)
from aexp.runs.document import edit_document
from aexp.runs.store import read_run

RESULT = "result"
_SCALARS = (str, int, float, bool, type(None))
_MAX_DEPTH = 20


@contextlib.contextmanager
def executing_adhoc(
    name: str, tags: Sequence[str], parameters: Mapping[str, Any]
) -> Iterator[ActiveRun]:
    """Execute the block as a new ad-hoc run.

    Raises
    ------
    ParameterError
        If an argument's name is one of aexp's own.
    GateError
        If the script must have a sidecar and has none; nothing is left of the run then.
    """
    repo = Repo.installed()
    labels = check_labels(repo, name=name, tags=tags)
    sp = state_point(
        new_nonce(),
        scrub({key: recordable(value) for key, value in parameters.items()}),
        code=known_code(repo),
    )
    run = ActiveRun(Place(repo, create_adhoc(repo, sp, document(labels))))
    try:
        run.__enter__()
    except BaseException:
        discard_unbegun(repo, run.id)
        raise
    try:
        yield run
    except BaseException as error:
        run.__exit__(type(error), error, error.__traceback__)
        raise
    run.__exit__(None, None, None)


def give_labels(run: ActiveRun, name: str | None, tags: Sequence[str]) -> None:
    """Write name and tags into a run of an experiment, unless it has ended."""
    repo, job_id = run._place.repo, run.id
    labels = check_labels(repo, name=name, tags=tags)
    if read_run(repo, job_id).is_terminal:
        return
    with edit_document(repo, job_id) as fresh:
        write_labels(fresh.doc, labels)


def is_adhoc_run(run: ActiveRun) -> bool:
    """Return whether a run belongs to no experiment."""
    return run.statepoint.get("kind") == ADHOC


def recordable(value: Any, depth: int = 0) -> Any:
    """Return what a state point keeps of an argument: JSON, else the name of its type.

    A path is kept as text, an enumeration by its name, a scalar of numpy and the like as the
    number that it is.
    """
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no number for it
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if depth < _MAX_DEPTH:
        if isinstance(value, Mapping):
            return {_key(key): recordable(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [recordable(item, depth + 1) for item in value]
        if isinstance(value, (set, frozenset)):
            return sorted((recordable(item, depth + 1) for item in value), key=str)
    scalar = _item(value)
    if isinstance(scalar, _SCALARS):
        return recordable(scalar)
    kind = type(value)
    return f"<{kind.__module__}.{kind.__qualname__}>"


def _key(key: Any) -> str:
    return str(recordable(key)).replace(".", "_").replace("\0", "_") or "_"


def _item(value: Any) -> Any:
    """Return the number in a scalar of another library, the value itself if there is none."""
    item = getattr(value, "item", None)
    if item is None or isinstance(value, type):
        return value
    try:
        return item()
    except Exception:
        return value  # an array of several, or something else altogether


def record_result(run: ActiveRun, value: Any) -> None:
    """Keep what a function has returned: numbers as final numbers, the rest as an asset.

    What its code has set itself stays. A result that cannot be kept costs nothing.
    """
    if value is None:
        return
    with contextlib.suppress(AexpError, OSError):
        scalar = _item(value)
        if _is_number(scalar):
            _set(run, {RESULT: scalar})
            return
        if isinstance(value, Mapping):
            numbers = {
                printable(key): item
                for key, given in value.items()
                if isinstance(key, str) and key and _is_number(item := _item(given))
            }
            _set(run, numbers)
            if len(numbers) == len(value):
                return
        if isinstance(value, (Mapping, list, tuple, str)):
            run.upload_asset(RESULT, recordable(value))


def _set(run: ActiveRun, numbers: Mapping[str, Any]) -> None:
    new = {key: value for key, value in numbers.items() if key not in run.summary}
    if new:
        run.summary.update(new)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, str)
