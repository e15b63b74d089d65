"""Runs that are executed once more after their end, and those taken out of the queue again.

Their statuses change as all do, through `aexp.runs.status`.
"""

from collections.abc import Callable

from aexp.errors import StatusError
from aexp.files import remove
from aexp.ledger.entries import load_ledger_entry
from aexp.model import COMPLETE, CREATED, QUEUED, RUNNING, Run, short, utc_now
from aexp.paths import GATE, SENTINEL, Repo
from aexp.runs.afresh import go_on, start_afresh
from aexp.runs.claims import drop_spent
from aexp.runs.document import block_of, edit_document
from aexp.runs.earlier import forget_end, kept_end, remember_entry, restore_end
from aexp.runs.publish import entry_of
from aexp.runs.status import abandon, change_run, next_sequence


def requeue(
    repo: Repo,
    job_id: str,
    *,
    sequence: int | None = None,
    change: Callable[[Run], None] | None = None,
    resume: bool = False,
) -> Run:
    """Queue an ended or created run again; its attempts and last ledger entry are kept.

    One that was complete starts from the beginning; any other goes on from its last
    checkpoint.

    Parameters
    ----------
    repo : Repo
        The repository.
    job_id : str
        The run.
    sequence : int, optional
        Its place in the queue; default the last.
    change : callable, optional
        Further edits of the document, in the same write.
    resume : bool, default False
        Let one that was complete go on from its last checkpoint, too.

    Raises
    ------
    StatusError
        If the run is running.
    """

    def edit(run: Run) -> None:
        if run.status == RUNNING:
            raise StatusError(
                f"run {short(job_id)} is running", f"stop it first: aexp queue stop {short(job_id)}"
            )
        _begin_anew(repo, run, change, resume=resume)
        block_of(run.doc, "aexp_run")["sequence"] = sequence or next_sequence()
        block_of(run.doc, "queue")["queued_at"] = utc_now()
        run.doc["status"] = QUEUED

    return change_run(repo, job_id, edit)


def reopen(repo: Repo, job_id: str) -> Run:
    """Make an ended run ``created`` again, for a block by hand; its attempts are kept.

    The queue does not execute it, also when the block is interrupted.
    """

    def edit(run: Run) -> None:
        if run.is_terminal:
            _begin_anew(repo, run)
            block_of(run.doc, "queue").pop("queued_at", None)
            run.doc["status"] = CREATED

    return change_run(repo, job_id, edit)


def _begin_anew(
    repo: Repo, run: Run, change: Callable[[Run], None] | None = None, *, resume: bool = False
) -> None:
    """Take a run's end out of its document and files, for another execution."""
    record = block_of(run.doc, "aexp_run")
    if run.is_terminal:
        record["superseded"] = load_ledger_entry(repo, run.job_id) or entry_of(repo, run)
        record["before"] = kept_end(run)
        drop_spent(repo, run)
    if resume:
        go_on(record)
    elif run.status == COMPLETE:
        start_afresh(run, record)
    if change is not None:
        change(run)
    remember_entry(repo, run)
    for name in (SENTINEL, GATE):  # before the document: see docs/architecture.md
        remove(repo.run_file(run.job_id, name))
    forget_end(run)
    record["attempts_before"] = len(run.attempts)
    queue = block_of(run.doc, "queue")
    queue.pop("last_error", None)
    queue.pop("proc", None)


def withdraw(repo: Repo, job_id: str) -> Run:
    """Take a run out of the queue on a person's word.

    A run that had ended before it was queued or opened again becomes what it was, results and all;
    any other is ``abandoned``, with cause ``removed``.
    """
    with edit_document(repo, job_id) as run:
        restored = run.status in (QUEUED, CREATED) and restore_end(run)
    if not restored:
        return abandon(repo, job_id, "removed", "removed from the queue")
    return change_run(repo, job_id, lambda run: None)
