"""Folders handed over to a run, in the background, and outputs taken from it."""

import os
import warnings
from typing import TYPE_CHECKING, Any

from aexp.checkpoints.background import PendingSave
from aexp.checkpoints.find import runs_in_scope
from aexp.checkpoints.manifest import CHECKPOINT, KINDS, unsafe_path
from aexp.checkpoints.objects import copy_file, hash_file
from aexp.checkpoints.outputs import outputs_of
from aexp.checkpoints.staging import remove_tree
from aexp.errors import AexpError, CheckpointDamaged, CheckpointNotFound, CheckpointWarning
from aexp.files import temporary_name
from aexp.handle.place import Place
from aexp.runs.step_name import step_of
from aexp.runs.store import run_ids

if TYPE_CHECKING:
    from pathlib import Path

    from aexp.checkpoints.upload_tracker import UploadTracker
    from aexp.handle.run import ActiveRun


_NEXT = "nothing was written; take another output"


class PendingUpload:
    """A folder that is being kept: `result` waits for it.

    Parameters
    ----------
    place : Place
        The run.
    save : PendingSave or None
        What is under way, of a checkpoint.
    row : dict, optional
        The output, where it is known already.
    """

    def __init__(
        self, place: Place, save: PendingSave | None, row: dict[str, Any] | None = None
    ) -> None:
        self._place = place
        self._save = save
        self._row = row

    def __repr__(self) -> str:
        return f"<aexp upload, {'done' if self.done() else 'under way'}>"

    def done(self) -> bool:
        """Return whether it is kept, or could not be."""
        return self._save is None or self._save.done()

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait, and return the output as `ActiveRun.list_outputs` shows it.

        Raises
        ------
        CheckpointError
            If it could not be kept.
        """
        if self._row is None:
            assert self._save is not None
            saved = self._save.result(timeout)
            rows = outputs_of(self._place.repo, [self._place.job_id], saved.kind)
            self._row = next(row for row in rows if row["id"] == saved.id)
        return self._row


def hand_over(
    run: "ActiveRun",
    directory: "str | os.PathLike[str]",
    asset_type: str,
    tracker: "UploadTracker | None",
    step: int | None,
    about: dict[str, Any],
) -> PendingUpload:
    """Copy a folder, and keep it in the background; those that a kill cut short come first."""
    source = os.path.abspath(os.fspath(directory))
    if tracker is not None:
        _take_up(run, tracker, source)
    if step is None and asset_type in KINDS:
        step = step_of(os.path.basename(source))
    if step is None and asset_type == CHECKPOINT:
        newest = run.checkpoints(kind=CHECKPOINT)[:1]
        step = (newest[0].step or 0) + 1 if newest else 0
    number = tracker.begin(run.id, source, asset_type, step) if tracker is not None else 0
    try:
        if asset_type not in KINDS:
            name = os.path.basename(source)
            about = {"name": name, "metadata": about.get("metadata")}
            kept = run.log_asset(asset_type, path=source, **about)
            rows = outputs_of(run.repo, [run.id], asset_type)
            path = os.path.join(run.workspace, kept["path"])
            row = next(row for row in rows if row["path"] == path)
            if tracker is not None:
                tracker.end(number, row["id"])
            return PendingUpload(run._place, None, row)
        save = run.save_checkpoint(source, step, kind=asset_type, background=True, **about)
    except AexpError as error:
        if tracker is not None:
            tracker.end(number, None, error.message)
        raise
    if tracker is not None:
        save.when_done(lambda saved, error: tracker.end(number, saved.id if saved else None, error))
    return PendingUpload(run._place, save)


def _take_up(run: "ActiveRun", tracker: "UploadTracker", present: str) -> None:
    for row in tracker.cut_short(run.id):
        directory, kind = row["directory"], row["asset_type"]
        if directory == present:
            tracker.end(row["id"], None, "handed over again")
            continue
        try:
            if kind in KINDS:
                output = run.save_checkpoint(directory, row["step"], kind=kind).id
            else:
                output = run.log_asset(kind, path=directory)["path"]
            tracker.end(row["id"], output)
        except AexpError as error:
            tracker.end(row["id"], None, error.message)
            text = f"{kind} {directory} was handed over by a process that is gone"
            warnings.warn(f"{text}, and is lost: {error.message}", CheckpointWarning, 5)


def take(run: "ActiveRun", asset_id: str, to: "str | os.PathLike[str]") -> "Path":
    """Copy an output of any run here to a folder, verified; checkpoints by `restore`."""
    from pathlib import Path

    if asset_id.startswith("ck_"):
        found = run.restore(asset_id, to=to)
        assert found is not None
        return found.path
    repo = run.repo
    near = runs_in_scope(repo, run.id, "variation")
    for jobs in (near, [job for job in run_ids(repo) if job not in near]):
        for row in outputs_of(repo, jobs):
            if row["id"] == asset_id:
                _copy(row, os.path.abspath(os.fspath(to)))
                return Path(to)
    raise CheckpointNotFound(f"no output here is called {asset_id!r}", "see: run.list_outputs()")


def _copy(row: dict[str, Any], target: str) -> None:
    source = row["path"]
    is_folder = os.path.isdir(source)
    temporary = temporary_name(os.path.join(target, "asset"))
    os.makedirs(temporary)
    try:
        for item in row["components"]:
            if unsafe_path(item["path"]):
                raise CheckpointDamaged(f"{source}: {unsafe_path(item['path'])}", _NEXT)
            inner = os.path.join(temporary, item["path"])
            os.makedirs(os.path.dirname(inner), exist_ok=True)
            try:
                copy_file(os.path.join(source, item["path"]) if is_folder else source, inner)
                is_whole = hash_file(inner) == item["sha256"]
            except OSError:
                is_whole = False
            if not is_whole:
                raise CheckpointDamaged(
                    f"{source} is damaged: {item['path']} is not what was kept", _NEXT
                )
        for item in row["components"]:
            final = os.path.join(target, item["path"])
            os.makedirs(os.path.dirname(final), exist_ok=True)
            os.replace(os.path.join(temporary, item["path"]), final)
    finally:
        remove_tree(temporary)
