"""The one place that knows where files lie."""

import os
import re
from typing import TYPE_CHECKING, Any

from aexp.errors import CorruptFile, NotInstalled, RepoNotFound, UsageError
from aexp.files import read_object
from aexp.model import JOB_ID, check_machine_label, printable

if TYPE_CHECKING:
    from pathlib import Path

MARKER = os.path.join(".aexp", "installed.json")
DEFAULT_STORE = ".runs"
# Folders of this layout, and of others' tools, that are never a run store nor hold one.
_NO_STORES = frozenset(
    {"workflow", "profiles", "templates", "kb", ".aexp", ".claude", ".snakemake", ".github"}
)
# Patterns in .gitignore hold the store's path as it is: nothing that means something there.
_NOT_IN_STORE = re.compile(r"[*?\[\]!#\\]")


def hostname() -> str:
    """Return this machine's short host name."""
    return os.uname().nodename.split(".")[0] or "unknown"


def find_root(start: "str | Path | None" = None) -> str:
    """Return the top folder of the repository around `start`, without reading anything in it.

    Raises
    ------
    RepoNotFound
        If neither ``.git`` nor ``.aexp/installed.json`` lies in a folder above, or the
        present folder is gone.
    """
    try:
        folder = os.path.abspath(start or os.getcwd())
    except FileNotFoundError:
        raise RepoNotFound(
            "the present folder has been removed", "go to your research repository"
        ) from None
    while True:
        if os.path.exists(os.path.join(folder, ".git")) or os.path.isfile(
            os.path.join(folder, MARKER)
        ):
            return folder
        parent = os.path.dirname(folder)
        if parent == folder:
            raise RepoNotFound(
                f"no git repository around {os.path.abspath(start or os.getcwd())}",
                "go to your research repository, or make one: git init && aexp install",
            )
        folder = parent


class Repo:
    """A research repository and the place of every file of ours in it.

    Parameters
    ----------
    root : str or pathlib.Path
        The repository's top folder.

    Attributes
    ----------
    root : str
        Absolute path of the repository.
    marker : dict
        Content of ``.aexp/installed.json``, empty when aexp is not installed here.
    store : str
        Path of the signac project relative to `root` (default ``.runs``).
    """

    def __init__(self, root: "str | Path") -> None:
        self.root = os.path.abspath(root)
        self.marker: dict[str, Any] = read_object(self.at(MARKER)) or {}
        store = self.marker.get("run_store_path", DEFAULT_STORE)
        self.store = check_store_path(store, self.at(MARKER))
        self.store_dir = self.at(self.store)
        self.workspace = os.path.join(self.store_dir, "workspace")
        self.ledger_dir = self.at(".aexp", "ledger")
        self.cache_dir = self.at(".aexp", "cache")
        self.experiments_dir = self.at("kb", "research", "experiments")
        self.hypotheses_dir = self.at("kb", "research", "hypotheses")

    @classmethod
    def find(cls, start: "str | Path | None" = None) -> "Repo":
        """Return the repository around `start` (default: the current folder).

        Raises
        ------
        RepoNotFound
            If neither ``.git`` nor ``.aexp/installed.json`` lies in a folder above.
        """
        return cls(find_root(start))

    @classmethod
    def installed(cls, start: "str | Path | None" = None) -> "Repo":
        """Return the repository around `start` and insist on its run store."""
        return cls.find(start).require_store()

    def require_store(self) -> "Repo":
        """Return self if the run store exists, else raise `NotInstalled`."""
        if not os.path.isfile(os.path.join(self.store_dir, ".signac", "config")):
            raise NotInstalled(
                f"no run store at {self.store_dir}",
                f"run: aexp install    (in {self.root})",
            )
        return self

    def at(self, *parts: str) -> str:
        """Return the absolute path of a file given relative to the repository."""
        return os.path.join(self.root, *parts)

    def relative(self, path: str) -> str:
        """Return `path` relative to the repository."""
        return os.path.relpath(path, self.root)

    @property
    def machine_label(self) -> str:
        """The machine's name in ledger entries: the marker's, else the short host name."""
        label = self.marker.get("machine_label")
        if isinstance(label, str) and label:
            return check_machine_label(label)
        return hostname()

    @property
    def store_id(self) -> str | None:
        """The identity of this store; another clone's store has another one."""
        value = self.marker.get("store_id")
        return value if isinstance(value, str) else None

    def run_dir(self, job_id: str) -> str:
        """Return a run's workspace folder."""
        if not JOB_ID.fullmatch(job_id):
            raise UsageError(f"{job_id!r} is not a run id", "an id is 32 hex digits")
        return os.path.join(self.workspace, job_id)

    def run_file(self, job_id: str, name: str) -> str:
        """Return the path of one of a run's own files (the names below)."""
        return os.path.join(self.run_dir(job_id), name)

    def ledger_path(self, job_id: str) -> str:
        """Return the path of a run's ledger entry."""
        if not JOB_ID.fullmatch(job_id):
            raise UsageError(f"{job_id!r} is not a run id", "an id is 32 hex digits")
        return os.path.join(self.ledger_dir, job_id + ".json")

    def log_path(self, job_id: str, attempt: int) -> str:
        """Return the path of one attempt's output log."""
        return os.path.join(self.run_dir(job_id), "logs", f"{attempt}.log")

    def cache(self, *parts: str) -> str:
        """Return a path below the git-ignored cache folder."""
        return os.path.join(self.cache_dir, *parts)


STATEPOINT = "signac_statepoint.json"
DOCUMENT = "signac_job_document.json"
SENTINEL = "terminal.json"
GATE = "complete"
CLAIM = "claim"
HEARTBEAT = "heartbeat"
LOCK = ".lock"
METRICS = "metrics.json"
SERIES = "series.jsonl"  # what training code has logged, one row per line
PROGRESS = "progress.json"
OUTCOME = "outcome.json"  # what training code itself says about the attempt's end
STOP = "stop.json"  # the wrapper's word to the command that its end is near
ASSETS = "assets"
ASSET_INDEX = "assets/index.jsonl"  # one row per line
CHECKPOINTS = "checkpoints"  # what training can go on from
STAGING = ".staging"  # in it: what is being saved
INCOMING = "incoming"  # in it: what a plain command leaves, one folder per attempt
OBJECTS = os.path.join(".aexp", "objects")  # equal files of checkpoints, once per repository
ENVIRONMENT = "environment"  # what each attempt ran in
TRACKER = "tracker"  # the tracker's side of a run: who writes to it, how far it is
CODE_PATCH = "code.patch"  # the changes that were not committed when the run was queued
NEW_PREFIX = ".new-"  # of a run's folder before it has its name


def check_store_path(value: object, where: str) -> str:
    """Return a run store path that stays inside the repository, else raise."""
    if not isinstance(value, str) or not value:
        raise CorruptFile(
            f"{where}: run_store_path is {value!r}, not a path",
            "run: aexp install --run-store .runs",
        )
    normal = os.path.normpath(value)
    parts = [part.casefold() for part in normal.split(os.sep)]
    refused = f"the run store cannot be {value!r}"
    if _NOT_IN_STORE.search(normal) or not normal.isprintable() or normal != normal.strip():
        raise UsageError(
            refused, "give one line without any of *?[]!#\\, for instance .runs or data/runs"
        )
    if os.path.isabs(normal) or parts[0] in ("..", ".") or ".git" in parts:
        raise UsageError(
            refused,
            "choose a folder of its own inside the repository, for instance .runs or data/runs",
        )
    if parts[0] in _NO_STORES:
        raise UsageError(
            f"{refused}: the folder {printable(normal.split(os.sep)[0])} has another purpose",
            "choose a folder of its own, for instance .runs or data/runs",
        )
    return normal
