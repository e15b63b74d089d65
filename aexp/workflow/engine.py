"""What the packaged rules ask: which runs are due, their parents, resources and order."""

import os
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Protocol

from aexp import slurm
from aexp.errors import AexpError, CorruptFileWarning, LedgerWarning, UsageError
from aexp.model import COMPLETE, JOB_ID, RUNNING, Run, check_experiment_id, check_tag, short
from aexp.paths import GATE, SENTINEL, Repo
from aexp.queue.pending import BLOCKED, ELSEWHERE, IS_RUNNING, UNKNOWN, Queue
from aexp.queue.resources import SNAKEMAKE_NAMES, at_attempt
from aexp.runs.parents import parent_statuses
from aexp.runs.select import RunFilter
from aexp.runs.store import read_run
from aexp.workflow.patience import outlast_silence
from aexp.workflow.session import Session

CONFIG_KEYS = ("tag", "experiment", "limit", "adopt")
_FILTERS_ELSEWHERE = frozenset({"hypothesis", "status", "sp"})


class Wildcards(Protocol):
    """Snakemake's wildcards of rule ``run_job``."""

    job_id: str


class Engine:
    """The one object behind the packaged rules, made when the Snakefile is read.

    Nothing here lists the store until the target rule asks for its inputs, so a job's own
    Snakemake process on a compute node reads one document only.

    Parameters
    ----------
    config : mapping
        Snakemake's config: ``tag``, ``experiment``, ``limit``, ``adopt``.
    is_module : bool, default False
        Whether another workflow has imported the rules; the config is then that one's, too.
    """

    def __init__(self, config: Mapping[str, Any], *, is_module: bool = False) -> None:
        try:
            self.repo = _repository()
            if not is_module:
                _check_keys(config)
            self.filter = _filter(config)
            self._limit = _limit(config)
        except AexpError as error:
            # Snakemake prints the message alone, so the hint becomes part of it.
            raise type(error)(f"{error.message}; {error.hint}") from None
        _show_our_warnings_plainly()
        self._adopt = str(config.get("adopt", "")).lower() in ("1", "true", "yes")
        slurm.remember_start()
        outlast_silence()
        self.session = Session(self.repo)
        self._rank: dict[str, int] = {}
        self._documents: dict[tuple[str, int], Run] = {}
        self._scanned: Queue | None = None

    @property
    def command(self) -> str:
        """The aexp of this interpreter, for use in a shell."""
        return f"{shlex.quote(sys.executable)} -P -m aexp"

    @property
    def run_options(self) -> str:
        """Options of ``run-queued`` in this session."""
        options = ["--engine"]
        if _is_submitted():
            options.append("--remote")
        if self._adopt:
            options.append("--adopt")
        return " ".join(options)

    def sentinel(self, job_id: str) -> str:
        """Return the path of a run's sentinel, relative to the repository."""
        return os.path.join(self.repo.store, "workspace", job_id, SENTINEL)

    def gate(self, job_id: str) -> str:
        """Return the path of the file that only a complete run has."""
        return os.path.join(self.repo.store, "workspace", job_id, GATE)

    def ledger(self, job_id: str) -> str:
        """Return the path of a run's ledger entry, relative to the repository."""
        return os.path.join(".aexp", "ledger", f"{job_id}.json")

    def targets(self, wildcards: object = None) -> list[str]:
        """Return the sentinels of all due runs: the inputs of the target rule."""
        queue = self._queue()
        due = queue.due(self.filter, self._limit)
        ids = [item.run.job_id for item in due]
        self._rank = {job_id: len(ids) - index for index, job_id in enumerate(ids)}
        self._documents.update({(item.run.job_id, 1): item.run for item in due})
        self.session.runs = ids
        self.session.left_out = [
            f"{short(item.run.job_id)}: {item.why}"
            for item in queue.matching(self.filter)
            if item.state in (BLOCKED, ELSEWHERE, UNKNOWN, IS_RUNNING)
        ]
        self.session.nothing = self.filter.none("queued run")
        return [self.sentinel(job_id) for job_id in ids]

    def parents(self, wildcards: Wildcards) -> list[str]:
        """Return the sentinels of a run's parents that are not complete yet.

        Raises
        ------
        RunNotFound
            If the run is not in this store: its ledger entry is evidence that cannot be
            made again here, so it must not become a job that Snakemake prepares for.
        """
        run = self._document(wildcards.job_id, 1)
        statuses = parent_statuses(self.repo, run) if run.after else {}
        return [self.sentinel(parent) for parent, status in statuses.items() if status != COMPLETE]

    def priority(self, wildcards: Wildcards) -> int:
        """Return a run's place in the queue as a Snakemake priority: the first is highest."""
        return self._rank.get(wildcards.job_id, 0)

    def threads(self, wildcards: Wildcards) -> int:
        """Return how many cores a run uses."""
        value = self._resources(wildcards.job_id, 1).get("threads", 1)
        return value if isinstance(value, int) and value > 0 else 1

    def resources(self, defaults: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
        """Return one function for every resource that a run of this call asks for.

        Each looks the value up for the run's own durable attempt number at the moment at
        which Snakemake submits it, and falls back to ``default-resources``.

        Parameters
        ----------
        defaults : mapping
            Snakemake's parsed default resources, by their Snakemake names.
        """
        names = sorted({name for run in self._concerned() for name in _declared(run)})
        return {
            SNAKEMAKE_NAMES[name]: self._resource(name, defaults.get(SNAKEMAKE_NAMES[name]))
            for name in names
            if name in SNAKEMAKE_NAMES
        }

    def _concerned(self) -> list[Run]:
        """Return the runs of this process: one on a compute node, the whole queue in main."""
        if not _is_submitted():
            return [item.run for item in self._queue().matching(RunFilter())]
        ids = {job_id for word in sys.argv for job_id in JOB_ID.findall(word)}
        return [run for job_id in sorted(ids) if (run := self._known(job_id)) is not None]

    def _known(self, job_id: str) -> Run | None:
        try:
            return self._document(job_id, 1)
        except AexpError:
            return None

    def _queue(self) -> Queue:
        if self._scanned is None:
            self._scanned = Queue(self.repo, adopt=self._adopt)
        return self._scanned

    def _resource(self, name: str, default: Any) -> Callable[..., Any]:
        def value(wildcards: Wildcards, input: Any, threads: int, attempt: int) -> Any:
            own = self._resources(wildcards.job_id, attempt).get(name)
            if own is not None:
                return own
            fallback = None
            if default is not None:
                fallback = default.evaluate(
                    wildcards, input=input, threads=threads, attempt=attempt, rulename="run_job"
                ).value
            # Snakemake has no "not given" for sizes; for everything else None is that.
            return 0 if fallback is None and name.endswith("_mb") else fallback

        return value

    def _resources(self, job_id: str, attempt: int) -> dict[str, Any]:
        run = self._document(job_id, attempt)
        # An interruption is no reason to ask for more: only failures and faults count.
        counted = [run.record.get(key, 0) for key in ("failures", "faults")]
        # An attempt that died with its owner is written down as a fault by the next one only.
        last = run.attempts[-1] if run.attempts else {}
        died = run.status == RUNNING and not last.get("interrupted")
        spent = sum(n for n in counted if isinstance(n, int)) + died
        return at_attempt(_declared(run), 1 + spent)

    def _document(self, job_id: str, attempt: int) -> Run:
        found = self._documents.get((job_id, attempt))
        if found is None:
            found = self._documents[job_id, attempt] = read_run(self.repo, job_id)
        return found


def _is_submitted() -> bool:
    """Return whether this is a job's own Snakemake process, not the main one."""
    return "--target-jobs" in sys.argv


def _declared(run: Run) -> dict[str, Any]:
    value = run.record.get("resources")
    return value if isinstance(value, dict) else {}


def _show_our_warnings_plainly() -> None:
    """Let a damaged file be one line among Snakemake's, without the place in our code."""
    others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
        if issubclass(category, (CorruptFileWarning, LedgerWarning)):
            sys.stderr.write(f"aexp: {message}\n")
        else:
            others(message, category, *where, **options)

    warnings.showwarning = show


def _repository() -> Repo:
    repo = Repo.installed()
    if os.path.realpath(os.getcwd()) != os.path.realpath(repo.root):
        raise UsageError(
            f"Snakemake works in {os.getcwd()}, the repository is {repo.root}",
            f"call it there: cd {shlex.quote(repo.root)}",
        )
    return repo


def _check_keys(config: Mapping[str, Any]) -> None:
    """Refuse a key that looks like one of ours: without its filter the whole queue would run."""
    for key in config:
        near = get_close_matches(str(key).lower(), CONFIG_KEYS, n=1, cutoff=0.75) or [
            known for known in CONFIG_KEYS if sorted(known) == sorted(str(key).lower())
        ]
        if key not in CONFIG_KEYS and (near or key in _FILTERS_ELSEWHERE):
            raise UsageError(
                f"--config {key}= is not known",
                f"did you mean {near[0]}=?" if near else f"known: {', '.join(CONFIG_KEYS)}",
            )


def _filter(config: Mapping[str, Any]) -> RunFilter:
    experiment, tag = _text(config, "experiment"), _text(config, "tag")
    return RunFilter(
        experiment_id=check_experiment_id(experiment) if experiment is not None else None,
        tag=check_tag(tag) if tag is not None else None,
    )


def _text(config: Mapping[str, Any], key: str) -> str | None:
    """Return a value of ``--config`` as it was typed: Snakemake has made 1.1 of ``tag=1.10``."""
    if key not in config:
        return None
    typed = [word.partition("=")[2] for word in sys.argv if word.startswith(f"{key}=")]
    value = typed[-1].strip("'\"") if typed else config[key]  # Snakemake strips quotes, too
    if value is None or value == "":
        raise UsageError(f"--config {key}= is empty", f"leave {key} out to run the whole queue")
    return str(value)


def _limit(config: Mapping[str, Any]) -> int | None:
    value = config.get("limit")
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise UsageError(f"--config limit={value!r} is not a number above 0", "for instance limit=100")
