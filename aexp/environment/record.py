"""The file of each attempt's environment: written before its command, added to by its code."""

import os
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from aexp.environment.digest import digest
from aexp.environment.interpreter import describe_own
from aexp.environment.plain import plain
from aexp.environment.scrub import scrub
from aexp.environment.snapshot import SCHEMA, own_runtime, software_digest, take_snapshot
from aexp.errors import (
    AexpError,
    ArtifactNotFound,
    CorruptFile,
    CorruptFileWarning,
    UsageError,
)
from aexp.files import parse_object, pretty_json, read_bytes, remove, write_atomic
from aexp.model import Run, section, short
from aexp.paths import ENVIRONMENT, Repo
from aexp.runs.status import change_run

PYTHON_VARIABLE = "AEXP_PYTHON"
SWITCH = "AEXP_ENVIRONMENT"
MAX_BYTES = 32 << 20


def environment_path(repo: Repo, job_id: str, number: int) -> str:
    """Return where the environment of one attempt is recorded."""
    return os.path.join(repo.run_file(job_id, ENVIRONMENT), f"{number}.json")


def patch_path(repo: Repo, job_id: str, number: int) -> str:
    """Return where one attempt's uncommitted code lies."""
    return os.path.join(repo.run_file(job_id, ENVIRONMENT), f"{number}.patch")


def record_environment(
    repo: Repo,
    run: Run,
    number: int,
    *,
    command: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> dict[str, str] | None:
    """Record what the attempt `number` of a run will execute in.

    Parameters
    ----------
    repo : Repo
        The repository.
    run : Run
        The run, claimed by this process.
    number : int
        The attempt.
    command : str, optional
        The command, as it was rendered.
    variables : mapping, optional
        The command's environment; default this process's own.

    Returns
    -------
    dict or None
        What the attempt's record keeps: ``digest`` of the file, ``software`` of what would
        have to be installed again. None when ``AEXP_ENVIRONMENT`` is ``off``.
    """
    given = os.environ if variables is None else variables
    if given.get(SWITCH, "").lower() in ("off", "0", "no", "false"):
        return None
    content, patch = take_snapshot(repo, command=command, variables=given)
    content = {**content, "job_id": run.job_id, "attempt": number}
    if patch:
        _write_patch(repo, run.job_id, number, patch)
    else:
        remove(patch_path(repo, run.job_id, number))  # of an attempt that never began
    return _write(repo, content)


def merge_user_environment(
    repo: Repo, job_id: str, number: int | None, mapping: Mapping[str, Any]
) -> dict[str, str]:
    """Add a user's own mapping to the environment of an attempt (None: the last), as ``user``.

    Mappings of several calls are merged, the later value wins; secrets become ``***``.

    Raises
    ------
    UsageError
        If it is no mapping, or too large or too deep for a JSON file.
    """
    if not isinstance(mapping, Mapping):
        raise UsageError(
            f"an environment is a mapping, not {type(mapping).__name__}",
            'write it like run.upload_environment({"dataset": {"name": "ripple"}})',
        )
    addition = scrub(plain(mapping))

    def add(content: dict[str, Any]) -> None:
        content["user"] = _merged(section(content, "user"), addition)

    return edit_environment(repo, job_id, number, add)


def record_training_python(repo: Repo, job_id: str, number: int) -> None:
    """Record this process's Python, when it is not the one the wrapper has recorded.

    Costs a comparison of two texts when it is.
    """
    if sys.prefix == os.environ.get(PYTHON_VARIABLE):
        return
    content = _read_or_start(repo, job_id, number)
    known = section(content, "training_python")
    if known.get("told_by") == "process" or content.get("schema") != SCHEMA:
        return
    told = {**describe_own(repo), "told_by": "process"}
    if section(content, "python").get("prefix") == told["prefix"]:
        return
    if runtime := own_runtime():
        told["runtime"] = runtime
    edit_environment(repo, job_id, number, lambda fresh: fresh.update(training_python=told))


def edit_environment(
    repo: Repo, job_id: str, number: int | None, edit: Callable[[dict[str, Any]], None]
) -> dict[str, str]:
    """Change an attempt's file under the run's lock; document and ledger entry follow.

    Raises
    ------
    UsageError
        If the run has no such attempt, or the file would become too large.
    """
    kept: dict[str, str] = {}

    def change(run: Run) -> None:
        attempt = _attempt(run, number)
        content = _read_or_start(repo, job_id, attempt["attempt"])
        edit(content)
        kept.update(_write(repo, content))
        attempt["environment"] = dict(kept)

    change_run(repo, job_id, change)
    return kept


def read_environment(repo: Repo, run: Run, number: int | None = None) -> dict[str, Any]:
    """Return what was recorded of one attempt's environment (default: the last recorded one).

    A file that has changed since its digest was recorded costs a warning.

    Raises
    ------
    ArtifactNotFound
        If there is none here.
    CorruptFile
        If it cannot be read.
    """
    recorded = recorded_attempts(repo, run.job_id)
    if number is None:
        number = recorded[-1] if recorded else None
    path = environment_path(repo, run.job_id, number or 1)
    data = _read(path) if number in recorded else None
    if number is None or data is None:
        raise _not_here(run, number, recorded)
    content = parse_object(data, path)
    if content.get("job_id") != run.job_id or content.get("attempt") != number:
        warnings.warn(
            f"{path} is not the record of attempt {number} of {run.job_id}",
            CorruptFileWarning,
            stacklevel=2,
        )
    expected = digest_of_attempt(run, number)
    if expected is not None and expected != digest(data):
        warnings.warn(
            f"{path} has changed since it was recorded: its digest is not the document's",
            CorruptFileWarning,
            stacklevel=2,
        )
    return content


def recorded_attempts(repo: Repo, job_id: str) -> list[int]:
    """Return the numbers of the attempts whose environment is recorded here."""
    try:
        names = os.listdir(repo.run_file(job_id, ENVIRONMENT))
    except OSError:
        return []
    stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())


def digest_of_attempt(run: Run, number: int) -> str | None:
    """Return the digest that the document keeps of an attempt's environment."""
    for attempt in run.attempts:
        if attempt.get("attempt") == number:
            value = section(attempt, "environment").get("digest")
            return value if isinstance(value, str) else None
    return None


def _attempt(run: Run, number: int | None) -> dict[str, Any]:
    numbered = [item for item in run.attempts if isinstance(item.get("attempt"), int)]
    attempt: dict[str, Any]
    for attempt in reversed(numbered):
        if number is None or attempt["attempt"] == number:
            return attempt
    which = "no attempt yet" if number is None else f"no attempt {number}"
    raise UsageError(
        f"run {short(run.job_id)} has {which}", f"see: aexp show-run {short(run.job_id)}"
    )


def _not_here(run: Run, number: int | None, recorded: list[int]) -> ArtifactNotFound:
    if number is None:
        reason = "has not been executed" if not run.attempts else "has no recorded environment here"
        hint = "it is recorded at the start of each attempt, in the clone that executes it"
        return ArtifactNotFound(f"run {short(run.job_id)} {reason}", hint)
    numbers = ", ".join(map(str, recorded)) or "none"
    return ArtifactNotFound(
        f"attempt {number} of run {short(run.job_id)} has no recorded environment here",
        f"recorded attempts: {numbers}",
    )


def _read(path: str) -> bytes | None:
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise CorruptFile(f"{path} is over {MAX_BYTES >> 20} MB", "move the file away")
    except OSError:
        return None
    return read_bytes(path)


def _read_or_start(repo: Repo, job_id: str, number: int) -> dict[str, Any]:
    """Return an attempt's record to add to; one that cannot be read is set aside."""
    path = environment_path(repo, job_id, number)
    try:
        data = _read(path)
        content = None if data is None else parse_object(data, path)
    except CorruptFile as error:
        aside = path.removesuffix(".json") + ".damaged"
        warnings.warn(f"{error.message}; it is now {aside}", CorruptFileWarning, stacklevel=2)
        os.replace(path, aside)
        content = None
    started = content or {"schema": SCHEMA, "problems": ["the rest was not recorded"]}
    return {**started, "job_id": job_id, "attempt": number}


def _write(repo: Repo, content: dict[str, Any]) -> dict[str, str]:
    try:
        data = pretty_json(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the environment cannot be written as JSON: {error}") from error
    if len(data) > MAX_BYTES:
        raise UsageError(
            f"an environment of {len(data) >> 20} MB is too large",
            "keep large content as an asset: run.upload_asset",
        )
    write_atomic(environment_path(repo, content["job_id"], content["attempt"]), data)
    return {"digest": digest(data), "software": software_digest(content)}


def _write_patch(repo: Repo, job_id: str, number: int, patch: bytes) -> None:
    """Write the patch once for all runs that have the same one.

    Somebody may have edited the file of an earlier run, and with it what they share: then a
    new file is made.
    """
    shared = repo.cache("patches", digest(patch)[7:39] + ".patch")
    target = patch_path(repo, job_id, number)
    try:
        if read_bytes(shared) != patch:
            write_atomic(shared, patch)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.lexists(target):
            os.unlink(target)
        os.link(shared, target)
    except (OSError, AexpError):
        write_atomic(target, patch)


def _merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        before = result.get(key)
        both = isinstance(before, dict) and isinstance(value, Mapping)
        result[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return result
