"""Write down where a run is, once its tracker has told: in the document and the ledger."""

from aexp.ledger.entries import load_ledger_entry
from aexp.model import section
from aexp.paths import Repo
from aexp.runs.document import run_lock, write_document
from aexp.runs.publish import is_superseded, publish
from aexp.runs.store import read_run_to_edit
from aexp.trackers.contract import OfflineRun


def set_url(repo: Repo, job_id: str, synced: OfflineRun, url: str) -> bool:
    """Set ``doc["tracker"]["url"]`` of a run, and let its ledger entry follow.

    Only where the run is bound to this run of the tracker's, or to none.

    Returns
    -------
    bool
        Whether the document was changed.
    """
    with run_lock(repo, job_id):
        run = read_run_to_edit(repo, job_id)
        bound = section(run.doc, "tracker")
        if not bound:
            bound = {
                "backend": synced.backend,
                "run_id": synced.run_id,
                "url": None,
                "project": None,
                "group": None,
            }
        is_same = (bound.get("backend"), bound.get("run_id")) == (synced.backend, synced.run_id)
        if not is_same or bound.get("url") == url:
            return False
        run.doc["tracker"] = {**bound, "url": url}
        write_document(repo, run)
        if run.is_terminal:
            entry = load_ledger_entry(repo, job_id, quiet=True)
            if entry is None or not is_superseded(repo, run, entry):
                publish(repo, run)
    return True
