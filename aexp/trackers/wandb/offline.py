"""What W&B has left on the disk, and `wandb sync` as it can be relied upon.

``wandb sync`` ends with code 0, and marks a run as synced, also when the service has refused it
or has lost a part of it. So neither decides here: a run is synced when the log that wandb keeps
of it tells that the service has accepted the request that completes the run, and of no upload
that failed.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aexp.errors import TrackerInitError
from aexp.model import JOB_ID, printable
from aexp.trackers.contract import OfflineRun, SyncResult
from aexp.trackers.wandb import login
from aexp.trackers.wandb.marks import FOLDER as FOLDER
from aexp.trackers.wandb.marks import MARK, RUN_FOLDER, is_void, read_mark, run_id_of

BACKEND = "wandb"
_HEADER_BYTES = 7  # of a run file without a record: its process has died as it was made
_LOOK_S = 10.0
_END_S = 3.0
_LOG_BYTES = 1 << 22
_FINISHED = re.compile(rb'"msg":"stream: (?:all finished|finished|closed)')
_LOST = re.compile(rb'"level":"ERROR[^"]*","msg":"(?:filestream: |sender: |[^"]*","task":")')
_URL = re.compile(r"View run .*?at:? (https?://\S+)")
_STATUS = re.compile(r"\b(?:error|HTTP|status|status code)[ :=]{0,2}(\d{3})\b", re.IGNORECASE)
# What the shell or the job has set for a run of its own; every offline run knows its own.
_OF_A_RUN = frozenset(
    {"WANDB_DIR", "WANDB_DISABLED", "WANDB_GIT_COMMIT", "WANDB_GIT_REMOTE_URL", "WANDB_JOB_TYPE"}
    | {"WANDB_MODE", "WANDB_NAME", "WANDB_NOTES", "WANDB_PROJECT", "WANDB_QUIET", "WANDB_RESUME"}
    | {"WANDB_RUN_GROUP", "WANDB_RUN_ID", "WANDB_SERVICE", "WANDB_SILENT", "WANDB_SWEEP_ID"}
    | {"WANDB_TAGS"}
)
# Before it, `wandb sync` was another program: it says "done", whatever has come of it.
_LEAST = (0, 30)


def find(workspace: str | Path) -> list[OfflineRun]:
    """Return the offline runs in a run's folder, oldest first.

    A folder of an online run is one of them when not all of it has reached the service: the
    mark that the adapter takes away at the end is there, or the SDK's log does not tell that
    it came to its end. One without the mark and without a record has nothing to be sent.
    """
    base = os.path.join(workspace, FOLDER)
    try:
        with os.scandir(base) as entries:
            names = [one.name for one in entries if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    job = os.path.basename(os.path.abspath(workspace))
    found = []
    for name in names:
        parts = RUN_FOLDER.fullmatch(name)
        path = os.path.join(base, name)
        if parts is None or not _is_due(path, is_offline=bool(parts[1])):
            continue
        job_id = job if JOB_ID.fullmatch(job) else None
        run_id = run_id_of(path) or parts[3]
        found.append(OfflineRun(Path(path), BACKEND, run_id, job_id, parts[2]))
    return sorted(found, key=lambda run: (run.created_at, run.path.name))


def _is_due(path: str, *, is_offline: bool) -> bool:
    if os.path.exists(os.path.join(path, MARK)) or read_mark(path) is not None:
        return True
    if is_void(path):
        return False
    return _has_records(path) and (is_offline or _is_broken_off(path))


def _is_broken_off(path: str) -> bool:
    """Whether an online run's log tells of an upload that failed, or of no end."""
    try:
        with open(os.path.join(path, "logs", "debug-internal.log"), "rb") as file:
            log = file.read(_LOG_BYTES)
    except OSError:
        return False  # nothing tells
    return b'"msg"' in log and not (_FINISHED.search(log) and not _LOST.search(log))


def _has_records(path: str) -> bool:
    return any(os.path.getsize(one) > _HEADER_BYTES for one in _run_files(path))


def _run_files(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [
                one.path
                for one in entries
                if one.name.endswith(".wandb") and one.is_file(follow_symlinks=False)
            ]
    except OSError:
        return []


class Said(NamedTuple):
    """What ``wandb sync`` has left: its exit code, its words, and its log, a dict per line."""

    returncode: int | None
    output: str
    log: list[dict[str, Any]]


def sync(offline_run: OfflineRun, *, timeout_s: float) -> SyncResult:
    """Bring one offline run to W&B with ``wandb sync``.

    Parameters
    ----------
    offline_run : OfflineRun
        One that `find` has found.
    timeout_s : float
        How long it may take.
    """
    began = time.monotonic()
    path = offline_run.path
    _check_version()
    trouble = login.look(min(_LOOK_S, timeout_s))
    if trouble is not None:
        seconds = time.monotonic() - began
        return SyncResult(path, False, trouble.message, trouble.advice, seconds=seconds)
    if _is_overtaken(offline_run):
        advice = f"send it as a run of its own: wandb sync --id NEW-ID {path}"
        return SyncResult(
            path,
            False,
            "a later attempt is at W&B already, which would number these rows anew behind it",
            advice,
        )
    with tempfile.TemporaryDirectory(prefix="aexp-sync-") as folder:
        said = _call(str(path), folder, timeout_s)
    reason, hint = verdict(said, timeout_s)
    url = _URL.search(said.output)
    return SyncResult(
        path,
        not reason,
        (reason + "\n" if reason else "") + said.output,
        hint,
        url[1] if url else None,
        time.monotonic() - began,
        said.returncode,
    )


def _is_overtaken(run: OfflineRun) -> bool:
    """Whether a later attempt of an offline run has gone online before this one was synced."""
    if not run.path.name.startswith("offline-") or any(run.path.glob("*.syncstate")):
        return False
    for other in run.path.parent.iterdir():
        parts = RUN_FOLDER.fullmatch(other.name)
        if parts is None or parts[1] or parts[2] <= run.created_at or is_void(other):
            continue
        if run_id_of(other) == run.run_id:
            return True
    return False


def _call(path: str, folder: str, timeout_s: float) -> Said:
    environment = {key: text for key, text in os.environ.items() if key not in _OF_A_RUN}
    environment["WANDB_DIR"] = folder  # its log, not the run
    url = login.service_url()  # also as settings beside WANDB_DIR would have it
    if url is not None:
        environment["WANDB_BASE_URL"] = url
    environment.setdefault("WANDB__GRAPHQL_RETRY_MAX", "5")  # a minute, not half an hour
    options = ["--include-synced", "--include-online"]
    # -P: a folder wandb/ beside the user's code is not the package.
    command = [sys.executable, "-P", "-m", "wandb", "sync", *options, path]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        returncode: int | None = None
        try:
            returncode = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _end(process)
        output.seek(0)
        text = output.read().decode(errors="replace")
    words = [line.removeprefix("wandb:").strip() for line in text.splitlines()]
    return Said(returncode, "\n".join(filter(None, words)), list(_log_lines(folder)))


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _check_version() -> None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        text = version("wandb")
    except PackageNotFoundError:
        raise TrackerInitError(
            "the package wandb is not installed here", "run: pip install 'aexp[wandb]'"
        ) from None
    if tuple(int(part) for part in re.findall(r"\d+", text)[:2]) < _LEAST:
        raise TrackerInitError(
            f"wandb {text} does not tell whether a sync is complete",
            "sync with a newer one, it reads the same files: pip install 'wandb>=0.30'",
        )


def _log_lines(folder: str) -> Iterator[dict[str, Any]]:
    for path in sorted(Path(folder).rglob("debug-sync*.log")):
        for line in path.read_text(errors="replace").splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value


def verdict(said: Said, timeout_s: float) -> tuple[str, str]:
    """Return why a sync is not complete and what to do, two empty texts when it is."""
    errors = [entry for entry in said.log if str(entry.get("level", "")).startswith("ERROR")]
    spoken = [
        line.removeprefix("ERROR").strip()
        for line in said.output.splitlines()
        if line.startswith(("ERROR", "Error:", "Not authenticated"))
    ]
    words = "\n".join([*spoken, *(json.dumps(entry) for entry in errors)])
    if said.returncode is None:
        last = [str(entry.get("error") or entry.get("body") or "") for entry in said.log]
        because = f"; the last that it met: {printable(last[-1])[:200]}" if _any_last(last) else ""
        return (
            f"wandb sync has not ended within {timeout_s:g} s and was ended{because}",
            "check the network, or allow more time: --timeout SECONDS",
        )
    if _accepted(said) and not any(_loses(entry) for entry in errors):
        return "", ""
    return _because(words) or (
        f"wandb sync ended with code {said.returncode}, but the service has not confirmed the run",
        "see what it said: --json",
    )


def _any_last(last: list[str]) -> bool:
    while last and not last[-1]:
        last.pop()
    return bool(last)


def _accepted(said: Said) -> bool:
    """Whether the service has taken the request that completes the run."""
    is_last = False
    for entry in said.log:
        if entry.get("msg") == "filestream: sending request":
            is_last = bool(entry.get("complete"))
        elif is_last and entry.get("msg") == "filestream: request sent":
            return str(entry.get("status", "")).startswith("2")
    return False


def _loses(entry: dict[str, Any]) -> bool:
    """Whether an error in the log means that something has not reached the service."""
    message = str(entry.get("msg", ""))
    # The process was killed while it wrote: all that came before has been sent.
    if message.startswith("runsync: incomplete transaction log"):
        return False
    # These report on wandb itself, not on the run.
    return not message.startswith(("runsync: couldn't create", "runsync: printRunURL", "telemetry"))


def _because(words: str) -> tuple[str, str] | None:
    """Return what the messages of a failed sync mean, and what to do about it."""
    lower = words.lower()
    status = next(iter(_STATUS.findall(words)), "")
    if status == "401" or "api key" in lower or "not logged in" in lower:
        return "W&B does not accept the key", "log in with: wandb login, or set WANDB_API_KEY"
    if status == "403" or "permission denied" in lower:
        return (
            "W&B does not allow this key to write there",
            "check entity and project of the run, and whose key it is: wandb login --relogin",
        )
    if status == "404":
        return "W&B has no such entity or project", "check the run's entity: aexp show-run"
    if status[:1] == "5":
        return f"W&B fails (HTTP {status})", "try again later"
    if status == "429":
        return "W&B refuses so many requests (HTTP 429)", "try again later, with --jobs 1"
    if any(word in lower for word in ("dial tcp", "no such host", "timeout", "deadline", "tls:")):
        return "W&B cannot be reached, or does not answer", "check the network and WANDB_BASE_URL"
    if "fatal error while uploading" in lower:
        return "W&B has not taken all of the run", "try again, and see what it said: --json"
    first = words.strip().partition("\n")[0]
    return (printable(first)[:500], "see what it said: --json") if first else None
