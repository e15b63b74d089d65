"""The facts about runs that commands print with ``--json`` and agents read."""

from collections import Counter
from typing import Any, NamedTuple

from aexp.errors import RunNotFound
from aexp.files import read_end
from aexp.ledger.projection import final_metrics
from aexp.model import RUNNING, STATUSES, Run, section, short
from aexp.paths import Repo
from aexp.runs.jobs import summarize
from aexp.runs.known import KnownRun
from aexp.runs.progress import progress_facts
from aexp.runs.select import RunFilter
from aexp.runs.store import scan_runs


def run_facts(repo: Repo, run: Run) -> dict[str, Any]:
    """Return what a list of runs says about one."""
    return {
        **summarize(run)._asdict(),
        "short_id": short(run.job_id),
        "tag": run.tag,
        "wallclock_s": run.doc.get("wallclock_s"),
        "metrics": final_metrics(run),
        "progress": progress_facts(repo, run),
        "cause": run.record.get("cause"),
        "workspace": repo.run_dir(run.job_id),
    }


def run_details(repo: Repo, run: Run) -> dict[str, Any]:
    """Return everything that is worth knowing about one run."""
    return {
        **run_facts(repo, run),
        "queued_at": run.queue.get("queued_at"),
        "heartbeat_at": run.doc.get("heartbeat_at"),
        "last_error": section(run.queue, "last_error") or None,
        "attempts": run.attempts,
        "after": run.after,
        "resources": run.record.get("resources"),
        "retries": run.record.get("retries", 0),
        "timeout_s": run.record.get("timeout_s"),
        "log": last_log(repo, run),
    }


def known_facts(repo: Repo, known: KnownRun) -> dict[str, Any]:
    """Return what a list of runs says about one that store or ledger knows."""
    return _with_machine(run_facts(repo, known.run), known)


def known_details(repo: Repo, known: KnownRun) -> dict[str, Any]:
    """Return everything that is worth knowing about a run that store or ledger knows."""
    return _with_machine(run_details(repo, known.run), known)


def _with_machine(facts: dict[str, Any], known: KnownRun) -> dict[str, Any]:
    is_here = known.machine is None
    return {**facts, "machine": known.machine, "workspace": facts["workspace"] if is_here else None}


def last_log(repo: Repo, run: Run) -> str | None:
    """Return the path of the last attempt's log."""
    for attempt in reversed(run.attempts):
        if isinstance(attempt.get("log"), str):
            return repo.run_file(run.job_id, attempt["log"])
    return None


def count_statuses(repo: Repo, chosen: RunFilter) -> dict[str, dict[str, int]]:
    """Return how many runs each experiment has of each status, from one scan of the store."""
    return count_and_running(repo, chosen)[0]


def count_and_running(repo: Repo, chosen: RunFilter) -> tuple[dict[str, dict[str, int]], list[Run]]:
    """Return these counts, and the runs that are running, in queue order; from one scan."""
    counts: dict[str, Counter[str]] = {}
    running = []
    for run in scan_runs(repo):
        if chosen.matches(run):
            counts.setdefault(run.experiment_id or "-", Counter())[run.status] += 1
            if run.status == RUNNING:
                running.append(run)
    words = {name: {word: counts[name][word] for word in STATUSES} for name in sorted(counts)}
    return words, sorted(running, key=lambda run: run.order)


class Tail(NamedTuple):
    """The end of a log.

    Attributes
    ----------
    text : str
        Its last lines; bytes that are no UTF-8 are replaced.
    size : int
        Bytes of the whole file.
    left_out : int
        Bytes before `text`.
    """

    text: str
    size: int
    left_out: int


def read_tail(path: str, max_bytes: int) -> Tail:
    """Return the last lines of a log, at most so many bytes.

    Raises
    ------
    RunNotFound
        If it is no plain file: a command may have put a link or a pipe in its place.
    """
    try:
        data, size = read_end(path, max_bytes)
    except OSError as error:
        raise RunNotFound(f"{path} cannot be read: {error.strerror or error}") from None
    begin = max(0, size - max_bytes)
    if begin:
        # Only whole lines, unless the last one alone is longer.
        line_end = data.find(b"\n")
        if 0 <= line_end < len(data) - 1:
            begin += line_end + 1
            data = data[line_end + 1 :]
    return Tail(data.decode(errors="replace"), size, begin)
