"""Sync offline runs: each once, attempts of one run in order, different runs in parallel."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from aexp.errors import AexpError, UsageError
from aexp.model import printable
from aexp.paths import Repo
from aexp.slurm import JobStates
from aexp.trackers.contract import OfflineRun, SyncResult
from aexp.trackers.sync import synced, unsent
from aexp.trackers.sync.find import Found, Store, find, is_running, open_store
from aexp.trackers.sync.process import Processes
from aexp.trackers.sync.url import set_url
from aexp.trackers.turn import turn_if_free

DEFAULT_JOBS = 4
DEFAULT_TIMEOUT_S = 600.0
# After so many runs in a row that failed for the same reason the others would, too.
_ENOUGH = 3

SYNCED = "synced"
ALREADY = "already synced"
WOULD_SYNC = "would sync"
IS_RUNNING = "running"
FAILED = "failed"
NOT_TRIED = "not tried"


@dataclass
class OfflineSync:
    """What was done with one offline run.

    Attributes
    ----------
    path : pathlib.Path
        Where it lies.
    backend, run_id : str
        The tracker and its id of the run.
    job_id : str or None
        The run of ours.
    state : str
        ``synced``, ``already synced``, ``running`` (left alone), ``would sync``, ``failed`` or
        ``not tried`` (because of another failure).
    ok : bool
        Whether nothing went wrong.
    returncode : int or None
        Exit code of the command that did it.
    stdout, stderr : str
        What it said; of a failure first why, on a line of its own.
    hint : str
        What to do about a failure.
    url : str or None
        Where the run is now.
    seconds : float
        What it took.
    """

    path: Path
    backend: str
    run_id: str
    job_id: str | None
    state: str
    ok: bool = True
    returncode: int | None = None
    stdout: str = ""
    stderr: str = ""
    hint: str = ""
    url: str | None = None
    seconds: float = 0.0

    @property
    def reason(self) -> str:
        """Why it failed, on one line."""
        return printable(self.stderr.partition("\n")[0])


def find_offline_runs(
    run_store: "str | Path | Repo" = ".", *, backend: str | None = None
) -> list[Path]:
    """Return the offline runs of a store, those that have been synced among them.

    Parameters
    ----------
    run_store : str, Path or Repo
        The store, for instance ``.runs``, or its repository.
    backend : str, optional
        Only this backend's.
    """
    found = find(open_store(run_store), backend=backend)
    return [run.path for one in found for run in one.offline]


def sync_offline_runs(
    run_store: "str | Path | Repo" = ".",
    dry_run: bool = False,
    *,
    job_ids: Collection[str] | None = None,
    backend: str | None = None,
    jobs: int = DEFAULT_JOBS,
    again: bool = False,
    running: bool = False,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    on_start: Callable[[int], None] | None = None,
    on_result: Callable[[OfflineSync], None] | None = None,
) -> list[OfflineSync]:
    """Bring the offline runs of a store to their trackers.

    A run that has been synced is not sent again. Several attempts of one run are synced one
    after the other, the oldest first; where one fails, those after it wait for the next call.

    Parameters
    ----------
    run_store : str, Path or Repo
        The store, for instance ``.runs``, or its repository.
    dry_run : bool, default False
        Send and write nothing.
    job_ids : collection of str, optional
        Only these runs, by their full ids.
    backend : str, optional
        Only this backend's.
    jobs : int, default 4
        How many runs at a time.
    again : bool, default False
        Send also what has been synced.
    running : bool, default False
        Send also what there is of runs that are executed now; it counts as not synced.
    timeout_s : float, default 600
        How long one offline run may take.
    on_start : callable, optional
        Called once with the number of offline runs that are to be synced.
    on_result : callable, optional
        Called with each result as it comes.

    Returns
    -------
    list of OfflineSync
        In the order of the runs' ids, the oldest attempt first.
    """
    if jobs < 1 or not timeout_s > 0:
        raise UsageError(f"{jobs} syncs of {timeout_s} s each", "at least one, and some time")
    store = open_store(run_store)
    chains: list[_Chain] = []
    states = JobStates()
    for one in find(store, job_ids=job_ids, backend=backend):
        chains += _chains(store, one, states, again=again)
    results = [result for chain in chains for result in chain.results]
    if not running:
        for chain in chains:
            chain.leave_alone()
    due = [chain for chain in chains if chain.is_due]
    if dry_run or not due:
        return results
    if on_start is not None:
        on_start(sum(len(chain.due()) for chain in due))
    work = _Work(store, again=again, timeout_s=timeout_s, on_result=on_result)
    work.do(due, jobs)
    return results


@dataclass
class _Chain:
    """The offline runs that belong to one run of a tracker's, oldest first."""

    found: Found
    runs: list[OfflineRun]
    is_running: bool = False
    results: list[OfflineSync] = field(default_factory=list)

    @property
    def is_due(self) -> bool:
        return any(result.state == WOULD_SYNC for result in self.results)

    def due(self) -> list[tuple[OfflineRun, OfflineSync]]:
        pairs = zip(self.runs, self.results, strict=True)
        return [pair for pair in pairs if pair[1].state == WOULD_SYNC]

    def leave_alone(self) -> None:
        for _, result in self.due():
            if self.is_running:
                result.state = IS_RUNNING


def _chains(store: Store, found: Found, states: JobStates, *, again: bool) -> list[_Chain]:
    known = synced.marks(found.workspace)
    chains: dict[tuple[str, str], _Chain] = {}
    for run in found.offline:
        chain = chains.setdefault((run.backend, run.run_id), _Chain(found, []))
        entry = known.get(synced.key(found.workspace, run))
        is_done = isinstance(entry, dict) and not again
        url = entry.get("url") if isinstance(entry, dict) else None
        chain.runs.append(run)
        chain.results.append(
            OfflineSync(
                run.path,
                run.backend,
                run.run_id,
                run.job_id,
                ALREADY if is_done else WOULD_SYNC,
                url=url if isinstance(url, str) else None,
            )
        )
    due = [chain for chain in chains.values() if chain.is_due]
    if due and is_running(store, found.run, states):
        for chain in due:
            chain.is_running = True
    return list(chains.values())


class _Work:
    """The syncs of one call, in threads that each wait for a process."""

    def __init__(
        self,
        store: Store,
        *,
        again: bool,
        timeout_s: float,
        on_result: Callable[[OfflineSync], None] | None,
    ) -> None:
        self.store = store
        self.again = again
        self.timeout_s = timeout_s
        self.on_result = on_result
        self.processes = Processes()
        self.lock = threading.Lock()
        self.failures: Counter[tuple[str, str]] = Counter()
        self.hopeless: dict[str, tuple[str, str]] = {}

    def do(self, chains: list[_Chain], jobs: int) -> None:
        waiting: queue.SimpleQueue[_Chain] = queue.SimpleQueue()
        for chain in chains:
            waiting.put(chain)
        ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                while True:
                    self._chain(waiting.get_nowait())
            except queue.Empty:
                ended.put(None)
            except BaseException as error:
                ended.put(error)

        # Daemons: one that waits for another process's lock does not hold up Ctrl-C.
        threads = [
            threading.Thread(target=work, name=f"aexp-sync-{number}", daemon=True)
            for number in range(min(jobs, len(chains)))
        ]
        try:
            for thread in threads:
                thread.start()
            for _ in threads:
                error = ended.get()
                if error is not None:
                    raise error
        finally:
            self.processes.end_all()

    def _chain(self, chain: _Chain) -> None:
        is_blocked = False
        for run, result in chain.due():
            if not is_blocked:
                self._sync(chain, run, result)
                is_blocked = not result.ok
            else:
                _fail(result, "the attempt before it is not synced", state=NOT_TRIED)
            if self.on_result is not None:
                with self.lock:
                    self.on_result(result)

    def _sync(self, chain: _Chain, run: OfflineRun, result: OfflineSync) -> None:
        hopeless = self.hopeless.get(run.backend)
        if hopeless is not None:
            why = f"{_ENOUGH} others have failed: {hopeless[0]}"
            _fail(result, why, hopeless[1], state=NOT_TRIED)
            return
        workspace = chain.found.workspace
        try:
            with synced.sync_lock(workspace):
                entry = synced.marks(workspace).get(synced.key(workspace, run))
                if isinstance(entry, dict) and not self.again:
                    # Another process was quicker.
                    result.state = ALREADY
                    return
                with turn_if_free(workspace) as is_ours:
                    if not is_ours and not chain.is_running:
                        # The wrapper was killed; its follower is still at work.
                        result.state = IS_RUNNING
                        return
                    options = chain.found.options(run.backend)
                    root = self.store.repo.root if self.store.repo is not None else None
                    done = self.processes.sync(run, options, root=root, timeout_s=self.timeout_s)
                    self._note(chain, run, result, done)
        except (AexpError, OSError) as error:
            message = error.message if isinstance(error, AexpError) else str(error)
            _fail(result, message, getattr(error, "hint", None) or "")
        self._count(result)

    def _note(self, chain: _Chain, run: OfflineRun, result: OfflineSync, done: SyncResult) -> None:
        from aexp.environment.scrub import scrub_value, strip_url

        result.returncode, result.seconds = done.returncode, round(done.seconds, 2)
        text = scrub_value(done.stderr)
        if not done.ok:
            _fail(result, text or f"{run.backend} does not say why", scrub_value(done.hint))
            synced.keep_log(chain.found.workspace, f"{run.path}\n{text}\n")
            return
        result.stdout = text
        page, mark, place = (done.url or "").partition("#")  # MLflow's pages are fragments
        result.url = strip_url(page) + mark + scrub_value(place) or None
        result.state = SYNCED
        if not chain.is_running and not unsent.is_one(run):
            synced.mark(chain.found.workspace, run, result.url)
            if run.path in chain.found.covering and self.store.repo is not None and run.job_id:
                unsent.settle(self.store.repo, run.job_id)
        if self.store.repo is not None and run.job_id and result.url:
            set_url(self.store.repo, run.job_id, run, result.url)

    def _count(self, result: OfflineSync) -> None:
        with self.lock:
            if result.ok:
                self.failures.clear()
                return
            why = (result.backend, result.reason)
            self.failures[why] += 1
            if self.failures[why] >= _ENOUGH:
                self.hopeless[result.backend] = (result.reason, result.hint)


def _fail(result: OfflineSync, why: str, hint: str = "", *, state: str = FAILED) -> None:
    result.ok, result.state, result.stderr, result.hint = False, state, why, hint
