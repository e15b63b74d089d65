"""Manifests: what a checkpoint holds, as the JSON that lies in its folder."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aexp.errors import CheckpointDamaged, CheckpointError
from aexp.model import CHECKPOINT_ID, JOB_ID
from aexp.runs.series import plain

MANIFEST = "manifest.json"
SCHEMA = 1
CHECKPOINT = "checkpoint"
SNAPSHOT = "snapshot"
KINDS = (CHECKPOINT, SNAPSHOT)
PERIODIC, FINAL, PREEMPT, MANUAL = "periodic", "final", "preempt", "manual"
REASONS = (PERIODIC, FINAL, PREEMPT, MANUAL)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_STEP = 10**15
_MAX_PATH = 1024
# What says when, not what: it does not enter the id.
_NOT_IN_ID = ("id", "created_at", "save_seconds")


class Component(NamedTuple):
    """One file of a checkpoint: its path in the folder, its size and its SHA-256."""

    path: str
    size: int
    sha256: str


class Manifest(NamedTuple):
    """What is known of a checkpoint.

    Attributes
    ----------
    id : str
        ``ck_`` and 32 digits of the SHA-256 of all the rest but `created_at` and
        `save_seconds`: a manifest that was changed contradicts its id.
    kind : str
        ``checkpoint`` (training can go on from it) or ``snapshot`` (a saved model).
    job : str
        The run that saved it.
    variation : str
        Key of the run's variation: its state point without seed and code.
    attempt : int
        Which of the run's executions saved it; 0: none, it was added by hand.
    step : int or None
        Where training was; only a snapshot may have none.
    epoch : int, float or None
        Likewise, where the caller gave it.
    metrics : dict
        Numbers of that moment, by which the best is found.
    reason : str
        ``periodic``, ``final``, ``preempt`` or ``manual``.
    created_at : str
        UTC, with microseconds.
    save_seconds : float
        How long it took to save.
    parent : str or None
        The id of the checkpoint that this run saved before it.
    resumed_from : str or None
        The id of the checkpoint that the attempt began with.
    code_commit : str or None
        The code's version in the run's state point.
    format : str
        What wrote the files: ``torch``, ``safetensors``, ``hf``, …; default ``any``.
    components : tuple of Component
        The files, by path.
    metadata : dict
        What the caller added.
    """

    id: str
    kind: str
    job: str
    variation: str
    attempt: int
    step: int | None
    epoch: int | float | None
    metrics: dict[str, Any]
    reason: str
    created_at: str
    save_seconds: float
    parent: str | None
    resumed_from: str | None
    code_commit: str | None
    format: str
    components: tuple[Component, ...]
    metadata: dict[str, Any]

    @property
    def total_bytes(self) -> int:
        """The sum of the files' sizes."""
        return sum(component.size for component in self.components)

    @property
    def order(self) -> tuple[int, str]:
        """Sort key of a run's checkpoints: step, then time; a final snapshot is the last."""
        return (_MAX_STEP + 1 if self.step is None else self.step, self.created_at)

    @property
    def folder(self) -> str:
        """The folder's name, unless another checkpoint has it."""
        stem = "step" if self.kind == CHECKPOINT else SNAPSHOT
        return f"{stem}-{FINAL if self.step is None else format(self.step, '09d')}"

    def same_content(self, other: "Manifest") -> bool:
        """Return whether `other` holds the same files and says the same of them."""
        keys = ("kind", "step", "epoch", "metrics", "format", "components", "metadata")
        return all(getattr(self, key) == getattr(other, key) for key in keys)

    def to_object(self) -> dict[str, Any]:
        """Return the manifest as the JSON object that is kept."""
        body = self._asdict()
        body["components"] = [component._asdict() for component in self.components]
        return {"schema": SCHEMA, "total_bytes": self.total_bytes, **body}

    def to_bytes(self) -> bytes:
        """Return the content of ``manifest.json``."""
        return (json.dumps(self.to_object(), indent=1, sort_keys=True) + "\n").encode()


def make_manifest(
    *,
    kind: str,
    job: str,
    variation: str,
    attempt: int,
    step: Any,
    components: Iterable[Component],
    created_at: str,
    save_seconds: float,
    epoch: Any = None,
    metrics: Mapping[str, Any] | None = None,
    reason: str = PERIODIC,
    parent: str | None = None,
    resumed_from: str | None = None,
    code_commit: str | None = None,
    format: str = "any",
    metadata: Mapping[str, Any] | None = None,
) -> Manifest:
    """Return the manifest of files that have been hashed; it gets its id here.

    Raises
    ------
    CheckpointError
        If a value cannot be one of a manifest.
    """
    listed = tuple(sorted(components))
    manifest = Manifest(
        id="",
        kind=kind,
        job=job,
        variation=variation,
        attempt=attempt,
        step=check_step(step, kind),
        epoch=plain(epoch, "epoch"),
        metrics=plain(dict(metrics or {}), "metrics"),
        reason=reason,
        created_at=created_at,
        save_seconds=round(float(save_seconds), 6),
        parent=parent,
        resumed_from=resumed_from,
        code_commit=code_commit,
        format=format,
        components=listed,
        metadata=plain(dict(metadata or {}), "metadata"),
    )
    manifest = manifest._replace(id=_id_of(manifest.to_object()))
    problem = _problem(manifest)
    if problem:
        raise CheckpointError(f"a checkpoint cannot be saved so: {problem}", "see docs")
    return manifest


def check_step(step: Any, kind: str) -> int | None:
    """Return a step as an int, else raise `CheckpointError`."""
    if kind not in KINDS:
        raise CheckpointError(f"{kind!r} is no kind of checkpoint", "one of: " + ", ".join(KINDS))
    if step is None and kind == SNAPSHOT:
        return None
    number = plain(step, "step")
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _MAX_STEP:
        raise CheckpointError(f"{step!r} cannot be a step", "give a number of steps: 0, 1, 2, …")
    return number


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Return the manifest in `data`.

    Raises
    ------
    CheckpointDamaged
        If it is none: torn, changed since it was written, or with paths that leave its
        folder. The message names `where`.
    """
    try:
        body = json.loads(data)
        manifest = _from_object(body)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__} {error}"
        raise CheckpointDamaged(f"{where} is no manifest: {text}", _DAMAGED) from None
    problem = _problem(manifest)
    if not problem and _id_of(body) != manifest.id:
        problem = "it was changed after it was written: it contradicts its id"
    if problem:
        raise CheckpointDamaged(f"{where}: {problem}", _DAMAGED)
    return manifest


_DAMAGED = "an earlier checkpoint is used instead; see: aexp checkpoints verify"


def _from_object(body: Any) -> Manifest:
    if not isinstance(body, dict):
        raise ValueError("it is no JSON object")
    if body.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {body.get('schema')!r}, this aexp knows {SCHEMA}")
    fields = {name: body[name] for name in Manifest._fields if name != "components"}
    components = tuple(
        Component(item["path"], item["size"], item["sha256"]) for item in body["components"]
    )
    return Manifest(components=components, **fields)


def _id_of(body: Mapping[str, Any]) -> str:
    from hashlib import sha256

    kept = {key: value for key, value in body.items() if key not in _NOT_IN_ID}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "ck_" + sha256(text.encode()).hexdigest()[:32]


def _problem(manifest: Manifest) -> str:
    """Return what is wrong with a manifest, "" when nothing is."""
    texts = (manifest.id, manifest.job, manifest.variation, manifest.created_at, manifest.format)
    options = (manifest.parent, manifest.resumed_from, manifest.code_commit)
    if not all(isinstance(text, str) for text in texts) or not all(
        option is None or isinstance(option, str) for option in options
    ):
        return "a field that is text is something else"
    if not CHECKPOINT_ID.fullmatch(manifest.id) or not JOB_ID.fullmatch(manifest.job):
        return "its ids are no ids"
    if manifest.kind not in KINDS or manifest.reason not in REASONS:
        return f"kind {manifest.kind!r} or reason {manifest.reason!r} is unknown"
    if type(manifest.attempt) is not int or not _is_number(manifest.save_seconds):
        return "a field that is a number is something else"
    has_step = type(manifest.step) is int and 0 <= manifest.step <= _MAX_STEP
    if not has_step and not (manifest.step is None and manifest.kind == SNAPSHOT):
        return f"{manifest.step!r} is no step"
    if not isinstance(manifest.metrics, dict) or not isinstance(manifest.metadata, dict):
        return "metrics or metadata is no object"
    return _problem_of_files(manifest.components)


def _problem_of_files(components: tuple[Component, ...]) -> str:
    if not components:
        return "it has no files"
    for path, size, digest in components:
        problem = unsafe_path(path)
        if problem:
            return problem
        if type(size) is not int or size < 0:
            return f"{path!r} has no size"
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            return f"{path!r} has no SHA-256"
    paths = {component.path for component in components}
    if len(paths) != len(components):
        return "a path is there twice"
    folders = {path[:at] for path in paths for at, c in enumerate(path) if c == "/"}
    if paths & folders:
        return "a path is both file and folder"
    return ""


def unsafe_path(path: object) -> str:
    """Return why a path cannot be that of a component, "" when it can."""
    if not isinstance(path, str) or not path or len(path) > _MAX_PATH:
        return f"{path!r:.80} is no path of a file"
    if not path.isprintable():
        return f"{path!r:.80} has characters that a name cannot have"
    if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        return f"{path!r:.80} leaves the checkpoint's folder"
    if path == MANIFEST:
        return f"{MANIFEST} is aexp's own name; call the file otherwise"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
