"""Which attempt of which run a handle stands for, and whether it still is the present one."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aexp.errors import AexpError, RunNotFound, StatusError
from aexp.model import JOB_ID, RUNNING, Run, short
from aexp.paths import DOCUMENT, Repo, find_root

if TYPE_CHECKING:
    from aexp.handle.assets import AssetIndex

_LOOK_EVERY_S = 1.0


class Place:
    """One attempt of one run, seen from the code that it executes.

    A process may outlive its attempt. What it then writes must not become part of a later
    attempt, so the record is asked before each change, and while rows are logged once a
    second, whether the attempt is still the present one.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    attempt : int
        The attempt that this process belongs to; 0: to none.
    claim : str or None
        Nonce of the claim under which the attempt is executed.
    """

    def __init__(self, repo: Repo, job_id: str, attempt: int = 0, claim: str | None = None) -> None:
        self.repo = repo
        self.job_id = job_id
        self.attempt = attempt
        self.claim = claim
        self._document = repo.run_file(job_id, DOCUMENT)
        self._seen: tuple[int, int] | None = None
        self.look_at = 0.0
        self.assets: AssetIndex | None = None

    def look(self) -> None:
        """Check, when the document has changed, that the attempt is still the present one.

        Raises
        ------
        StatusError
            If it is not.
        """
        self.look_at = time.monotonic() + _LOOK_EVERY_S
        try:
            state = os.stat(self._document)
        except OSError:
            return  # for a moment, on some file systems: at the next look
        if self.attempt and self._seen == (state.st_ino, state.st_mtime_ns):
            return
        from aexp.runs.store import read_run

        try:
            run = read_run(self.repo, self.job_id)
        except AexpError:
            return
        try:
            self.check(run)
        except StatusError:
            self.look_at = 0.0
            raise
        self._seen = (state.st_ino, state.st_mtime_ns)

    def check(self, run: Run) -> None:
        """Refuse to go on for an attempt that is not the present one of `run`."""
        if not self.attempt:
            again = ", again=True" if run.is_terminal else ""
            ended = f"is {run.status} and" if run.is_terminal else "is"
            raise StatusError(
                f"run {short(self.job_id)} {ended} not being executed here",
                f'execute it: with aexp.run("{short(self.job_id)}"{again}) as run: ...',
            )
        last = run.attempts[-1] if run.attempts else {}
        mine = last.get("attempt") == self.attempt and last.get("claim") == self.claim
        if not mine or last.get("status") != RUNNING:
            raise StatusError(
                f"attempt {self.attempt} of run {short(self.job_id)} has ended, this process "
                "has not; nothing was written",
                f"end process {os.getpid()}; see: aexp show-run {short(self.job_id)}",
            )

    @contextmanager
    def edit(self) -> Iterator[Run]:
        """Yield the run for a change of its document, under its lock, by the present attempt."""
        from aexp.runs.document import edit_document

        with edit_document(self.repo, self.job_id) as run:
            self.check(run)
            yield run


def place_of_environment() -> Place | None:
    """Return the attempt whose command this process is part of, None outside a run.

    Raises
    ------
    RunNotFound
        If the environment names a run that is not there.
    """
    job_id, claim = os.environ.get("AEXP_JOB_ID"), os.environ.get("AEXP_CLAIM")
    workspace, attempt = os.environ.get("AEXP_JOB_WORKSPACE"), os.environ.get("AEXP_ATTEMPT", "")
    if not job_id or not workspace:
        return None
    if not JOB_ID.fullmatch(job_id) or not os.path.isfile(os.path.join(workspace, DOCUMENT)):
        raise RunNotFound(
            f"the environment names run {job_id} in {workspace}, and it is not there",
            "unset AEXP_JOB_ID and AEXP_JOB_WORKSPACE, or look whether the folder was removed",
        )
    return Place(_repo_of(workspace), job_id, int(attempt) if attempt.isdecimal() else 0, claim)


def _repo_of(workspace: str) -> Repo:
    """Return the repository that a run's folder belongs to, wherever this process is."""
    # The store may be several folders deep, and itself lie in somebody's git repository.
    runs = os.path.dirname(os.path.abspath(workspace))
    folder = os.path.dirname(os.path.dirname(runs))
    while True:
        root = find_root(folder)
        repo = Repo(root)
        if os.path.realpath(repo.workspace) == os.path.realpath(runs):
            return repo
        folder = os.path.dirname(root)
