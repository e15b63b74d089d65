"""Uploads of a run that has ended, seen by its wrapper."""

from collections.abc import Callable

from aexp.errors import AexpError
from aexp.model import COMPLETE, Run
from aexp.paths import Repo
from aexp.remotes.place import has_remotes


def finish_uploads(
    repo: Repo, run: Run, say: Callable[[str], None], is_ending: Callable[[], bool]
) -> None:
    """Bring what a run has saved to where it is required; leave the rest to the background.

    The run's end is recorded already. What does not arrive is named and stays queued.

    Parameters
    ----------
    repo : Repo
        The repository.
    run : Run
        As it was recorded.
    say : callable
        Tells the caller what happens.
    is_ending : callable
        Whether somebody wants this process to end now: nothing is waited for then, and
        what has not arrived is named.
    """
    if not has_remotes(repo):
        return
    from aexp.checkpoints.uploader import upload_in_background
    from aexp.checkpoints.uploads import pending_uploads, required_remotes, wait_for_uploads
    from aexp.remotes.config import automatic_remotes

    try:
        if pending_uploads(repo, run.job_id, automatic_remotes(repo)):
            upload_in_background(repo, run.job_id)
        required = required_remotes(repo)
        if required and run.status == COMPLETE:
            wait_for_uploads(repo, run.job_id, remotes=required, is_ending=is_ending)
    except AexpError as error:
        say(f"{error.message} ({error.hint})" if error.hint else error.message)
    except OSError as error:
        say(f"checkpoints were not uploaded: {error}; later: aexp push")
