"""The wrapper's side of checkpoints: what an attempt goes on from, and what it leaves.

Training code with a handle saves its checkpoints itself. Any other command finds the newest
one at ``AEXP_RESUME_FROM``, and what it puts into the folder ``AEXP_CHECKPOINT_DIR`` is made
a checkpoint here: a file or a folder, under a name of its own as soon as it is complete.
"""

import contextlib
import os
import shutil
import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from aexp.errors import AexpError, CheckpointError
from aexp.execution import grace
from aexp.model import Run, printable, short
from aexp.paths import CHECKPOINTS, INCOMING, Repo
from aexp.remotes.place import has_remotes
from aexp.runs.document import edit_document
from aexp.runs.step_name import step_of
from aexp.runs.store import read_run

if TYPE_CHECKING:
    from aexp.checkpoints.past import Past
    from aexp.checkpoints.store import Checkpoint

DIR_VARIABLE = "AEXP_CHECKPOINT_DIR"
RESUME_VARIABLE = "AEXP_RESUME_FROM"
INIT_FROM = "init_from"  # aexp.checkpoints.lineage: most runs need nothing of that
_UNFINISHED = (".tmp", ".temp", ".part", ".partial", "~")
_State = tuple[tuple[str, int, int], ...]


class Resume:
    """Checkpoints of one attempt, seen by its wrapper.

    Parameters
    ----------
    repo : Repo
        The repository.
    run : Run
        The run, before the attempt begins.
    number : int
        The attempt.
    say : callable
        Tells the caller what happens.

    Attributes
    ----------
    origin : Checkpoint or None
        What the attempt goes on from.
    """

    def __init__(self, repo: Repo, run: Run, number: int, say: Callable[[str], None]) -> None:
        self._repo = repo
        self._run = run
        self._number = number
        self._say = say
        self._folder = repo.run_file(run.job_id, CHECKPOINTS)
        self._incoming = os.path.join(self._folder, INCOMING, str(number))
        self._seen: dict[str, _State] = {}
        self._done: dict[str, _State] = {}
        self._told: dict[str, _State] = {}
        self._counted: set[str] = set()
        self._advised = False
        self._complained = False
        self._looking: threading.Thread | None = None
        self.longest_save_s = 0.0
        self.origin: Checkpoint | None = None
        if os.path.isdir(self._folder):
            self._take_leftovers()
            self._measure()
            self.origin = self._find()
        if self.origin is None and INIT_FROM in run.sp:
            self.origin = self._initial()

    def prepare(self) -> None:
        """Make the folder for what the command leaves."""
        with contextlib.suppress(OSError):  # the command that needs it will say so
            os.makedirs(self._incoming, exist_ok=True)

    def environment(self) -> dict[str, str]:
        """Return what the command is told."""
        told = {DIR_VARIABLE: self._incoming}
        if self.origin is not None:
            told[RESUME_VARIABLE] = os.fspath(self.origin)
        return told

    def lineage(self) -> dict[str, str]:
        """Return what the attempt's record says of its origin."""
        if self.origin is None:
            return {}
        told = {"resumed_from": self.origin.id}
        if self.origin.job != self._run.job_id:
            told["resumed_run"] = self.origin.job
        return told

    def look(self) -> None:
        """Publish what is complete by now, that is, has not changed since the last look.

        In the background: copying takes minutes for some, and meanwhile the command's output
        must be read, and signals must reach it.
        """
        if self._looking is None or not self._looking.is_alive():
            self._looking = threading.Thread(target=self._look, name="aexp-look", daemon=True)
            self._looking.start()

    def _look(self) -> None:
        with contextlib.suppress(AexpError, OSError):  # the next look, or the end, tries again
            self._publish(lambda path, state: self._seen.get(path) == state)
            self._measure()
        words = None if self._advised else grace.advice(self.longest_save_s)
        if words is not None:
            self._advised = True
            self._say(words)

    def finish(self, *, killed: bool, reason: str = "periodic") -> None:
        """Publish what is left, and remove the folder.

        Of a command that was killed only what it had finished: what it was just writing
        under its final name is left out.
        """
        if self._looking is not None:
            self._looking.join()
        complete = self._publish(
            lambda path, state: not killed or self._seen.get(path) == state or _is_renamed(path),
            reason,
        )
        self._measure()
        if complete:
            self._remove(self._incoming)

    def _find(self) -> "Checkpoint | None":
        from aexp.checkpoints.find import latest
        from aexp.checkpoints.past import past_of

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = latest(self._repo, [self._run.job_id], verify=None, past=past_of(self._run))
            except OSError as error:
                raise CheckpointError(
                    f"cannot read {self._folder}: {error.strerror or error}",
                    "the run stays queued rather than starting from the beginning; "
                    "execute it again when its file system is well",
                ) from error
        for warning in caught:
            self._say(str(warning.message))
        return found

    def _initial(self) -> "Checkpoint | None":
        """Return what a branched run begins with; it cannot begin without it."""
        from aexp.checkpoints.lineage import initial_checkpoint
        from aexp.checkpoints.restore import damage
        from aexp.checkpoints.verify import problems, way_for

        found = initial_checkpoint(self._repo, self._run.sp)
        wrong = problems(found, way_for(found)) if found is not None else []
        if found is not None and wrong:
            error = damage(found, wrong)
            error.hint = (
                f"the run stays queued; aexp pull {short(found.job)} gets it again from a remote, "
                "aexp checkpoints branch begins with another one"
            )
            raise error
        return found

    def _take_leftovers(self) -> None:
        """Publish what an attempt has left whose wrapper died."""
        parent = os.path.dirname(self._incoming)
        for name in _names(parent):
            if not name.isdigit() or int(name) >= self._number:
                continue
            folder = os.path.join(parent, name)
            if self._publish(lambda path, state: _is_renamed(path), "periodic", folder, int(name)):
                self._remove(folder)

    def _publish(
        self,
        is_complete: Callable[[str, _State], bool],
        reason: str = "periodic",
        folder: str | None = None,
        attempt: int | None = None,
    ) -> bool:
        """Make checkpoints of what lies in a folder; False when one could not be saved."""
        where, good = folder or self._incoming, True
        for name in _names(where):
            path = os.path.join(where, name)
            if name.startswith(".") or name.endswith(_UNFINISHED):
                continue
            state = _state(path)
            ready = state and self._done.get(path) != state and is_complete(path, state)
            self._seen[path] = state
            if not ready:
                continue
            try:
                self._save(path, name, reason, attempt or self._number)
                self._done[path] = state
            except (AexpError, OSError) as error:
                good = False
                # One that is being written is taken at the next look.
                if _state(path) == state and self._told.get(path) != state:
                    self._told[path] = state
                    self._say(printable(f"{name} is not kept as a checkpoint: {error}"))
        return good

    def _save(self, path: str, name: str, reason: str, attempt: int) -> None:
        from aexp.checkpoints.save import Facts, copy_folder, save_staged
        from aexp.checkpoints.staging import open_staging
        from aexp.checkpoints.store import list_checkpoints
        from aexp.runs.variation import variation_of

        began = time.monotonic()
        job_id = self._run.job_id
        before = list_checkpoints(self._repo, job_id, "checkpoint")
        past = self._past(before, attempt)
        newest = next((item for item in before if not past.holds(item)), None)
        step = step_of(name)
        if step is None:
            step = 0 if newest is None or newest.step is None else newest.step + 1
        commit = self._run.sp.get("code_commit")
        facts = Facts(
            job=job_id,
            variation=variation_of(self._repo, job_id),
            attempt=attempt,
            step=step,
            reason=reason,
            parent=newest.id if newest else None,
            resumed_from=self.origin.id if self.origin else None,
            code_commit=commit if isinstance(commit, str) else None,
            metadata={"name": name},
        ).checked()
        staging = open_staging(self._repo, job_id)
        try:
            copy_folder(path, staging.folder)
            saved = save_staged(self._repo, staging.folder, facts, began)
            self._counted.add(saved.path.name)  # how long copying took says nothing of the command
        finally:
            staging.close()
        if has_remotes(self._repo):
            from aexp.checkpoints.uploader import upload_in_background

            upload_in_background(self._repo, job_id)
        self._prune()

    def _past(self, found: "list[Checkpoint]", attempt: int) -> "Past":
        """Return what is past: also what lies beyond the origin, from the first save on."""
        from aexp.checkpoints.past import leave_behind, past_of

        run = read_run(self._repo, self._run.job_id)
        if self.origin is not None and attempt == self._number:
            run = leave_behind(
                run, found, self.origin, "", lambda: edit_document(self._repo, run.job_id)
            )
        return past_of(run)

    def _prune(self) -> None:
        """Drop what the experiment does not want to keep."""
        from aexp.checkpoints.retention import prune_after_save

        try:
            prune_after_save(self._repo, self._run.job_id)
        except AexpError as error:
            if not self._complained:
                self._say(f"old checkpoints are not dropped: {error}")
            self._complained = True

    def _measure(self) -> None:
        """Look how long the training code's own saves took."""
        from aexp.checkpoints.store import read_checkpoint

        for name in _names(self._folder):
            if not name.startswith("step-") or name in self._counted:
                continue
            self._counted.add(name)
            with contextlib.suppress(AexpError, OSError):
                manifest = read_checkpoint(os.path.join(self._folder, name)).manifest
                if "name" not in manifest.metadata:
                    self.longest_save_s = max(self.longest_save_s, manifest.save_seconds)

    def _remove(self, folder: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in (os.path.dirname(folder), self._folder):
            with contextlib.suppress(OSError):
                os.rmdir(parent)


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder), key=lambda name: (step_of(name) or 0, name))
    except OSError:
        return []


def _state(path: str) -> _State:
    """Return what tells whether something was changed; empty when it has gone."""
    found = []
    try:
        for item in _walk(path):
            status = os.lstat(item)
            found.append((os.path.relpath(item, path), status.st_size, status.st_mtime_ns))
    except OSError:
        return ()
    return tuple(found)


def _is_renamed(path: str) -> bool:
    """Return whether something got its name after it was written: it is complete.

    A new name is a change of the inode (``st_ctime``) that no write is.
    """
    try:
        named = os.lstat(path).st_ctime_ns
        return all(os.lstat(item).st_mtime_ns < named for item in _walk(path))
    except OSError:
        return False


def _walk(path: str) -> list[str]:
    found = [path]
    if not os.path.islink(path) and os.path.isdir(path):
        for folder, _, names in os.walk(path):
            found += [os.path.join(folder, name) for name in sorted(names)]
    return found
