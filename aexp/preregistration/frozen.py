"""Whether a run's sidecar is still the one that was frozen when it was queued."""

from aexp.model import Run, printable, section
from aexp.paths import Repo
from aexp.preregistration.judge import is_declared
from aexp.preregistration.sidecar import present_digest
from aexp.runs.document import edit_document

GONE = "missing"


def note_change(repo: Repo, run: Run) -> list[str]:
    """Record, with a run's last attempt, a sidecar that has changed since the run was queued.

    Called when that attempt has just begun. The frozen outcomes hold all the same.
    Returns what to tell the user.
    """
    registered = section(run.record, "preregistration")
    path = registered.get("sidecar")
    if not is_declared(run) or not isinstance(path, str):
        return []
    now = present_digest(repo, path)
    if now == registered.get("sha256"):
        return []
    with edit_document(repo, run.job_id) as fresh:
        if fresh.attempts and fresh.attempts[-1].get("claim") == run.attempts[-1].get("claim"):
            fresh.attempts[-1]["sidecar_sha256"] = now or GONE
    what = "has changed" if now else "is gone"
    return [
        f"{printable(path)} {what} since the run was queued; the outcomes of then hold "
        "(queue it again with aexp queue add for those of now)"
    ]
