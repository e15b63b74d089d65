"""Where MLflow is, and how it is called: no telemetry, short waits."""

import contextlib
import os
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from aexp.errors import AexpError, TrackerInitError
from aexp.model import printable
from aexp.paths import find_root

URI_VARIABLE = "MLFLOW_TRACKING_URI"
INSTALL = "pip install 'aexp[mlflow]'"
# For a request; MLflow's own are 120 s and seven tries with pauses between them.
ANSWER_S = 5
_TRIES = 1
# What is always set around MLflow's code, ours and the command's.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # which MLflow 3.17 and later keep behind this
}

_lock = threading.Lock()
_depth = 0
_before: dict[str, str | None] = {}


@contextlib.contextmanager
def settings(answer_s: float = ANSWER_S) -> Iterator[None]:
    """Set what MLflow reads from the environment for the block: no telemetry, short waits.

    What the user has set stays, but for telemetry, which is always off here.
    """
    global _depth
    wanted = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(answer_s))),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(_TRIES),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }
    always = {
        **QUIET,
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    with _lock:
        if _depth == 0:
            chosen = {key: value for key, value in wanted.items() if key not in os.environ}
            chosen.update(always)
            _before.clear()
            _before.update({key: os.environ.get(key) for key in chosen})
            os.environ.update(chosen)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                for key, value in _before.items():
                    if value is None:
                        os.environ.pop(key, None)
                    else:
                        os.environ[key] = value


@contextlib.contextmanager
def tracking_uri(uri: str) -> Iterator[None]:
    """Set ``MLFLOW_TRACKING_URI`` for the block: artifacts go by it in some versions of MLflow."""
    before = os.environ.get(URI_VARIABLE)
    os.environ[URI_VARIABLE] = uri
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(URI_VARIABLE, None)
        else:
            os.environ[URI_VARIABLE] = before


def check_installed() -> None:
    """Insist on the SDK without importing it, which takes seconds."""
    from importlib.util import find_spec

    try:
        spec = find_spec("mlflow")
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:  # a folder that is called mlflow is no package
        raise TrackerInitError("MLflow is not installed", INSTALL)


def root_of(workspace: "str | os.PathLike[str] | None") -> str:
    """Return the repository that relative paths start from."""
    try:
        return find_root(os.fspath(workspace) if workspace else None)
    except AexpError:
        return os.getcwd()


def chosen_uri(uri: str | None, root: str) -> str:
    """Return where runs go: the setting, else ``MLFLOW_TRACKING_URI``.

    Raises
    ------
    TrackerInitError
        If neither says where.
    """
    value = uri or os.environ.get(URI_VARIABLE)
    if not value:
        raise TrackerInitError(
            "nothing says where MLflow is",
            f"set {URI_VARIABLE}, or uri: in the experiment's tracker: http://host:5000, "
            "sqlite:///mlflow.db, or a folder",
        )
    if not value.isprintable():
        raise TrackerInitError(f"{printable(value)!r} is not where MLflow can be")
    return absolute(value, root)


def absolute(uri: str, root: str) -> str:
    """Return `uri` with its path, if it is one, resolved from `root`."""
    if uri.startswith("sqlite:///"):
        return "sqlite:///" + os.path.abspath(os.path.join(root, uri.removeprefix("sqlite:///")))
    if uri.startswith("file:"):
        uri = urlsplit(uri).path
    elif "://" in uri or uri == "databricks":
        return uri.rstrip("/")
    return "file://" + os.path.abspath(os.path.join(root, uri))


def without_credentials(uri: str) -> str:
    """Return `uri` without user name, password and query."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", "")).rstrip("/")
