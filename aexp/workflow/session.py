"""One call of Snakemake: what it set out to do, what it repairs, and its verdict."""

import json
import os
import re
import sys
import time
from typing import Any

from aexp import slurm
from aexp.errors import AexpError, CorruptFile, StatusError, UsageError
from aexp.files import read_object, remove, write_atomic
from aexp.model import COMPLETE, STOPPED, Run, printable, section, short, utc_now
from aexp.paths import Repo
from aexp.processes import host_identity, is_running, start_time
from aexp.runs.reconcile import reconcile
from aexp.runs.store import read_run

_NAME = re.compile(r"[0-9]+-[0-9]+-[0-9a-f]{6}")
_SHOWN = 50


class Session:
    """The record of one main Snakemake process, in ``.aexp/cache/sessions``.

    Attributes
    ----------
    name : str
        Unique: host, process id, start.
    runs : list of str
        Ids that were due when the DAG was built.
    left_out : list of str
        Runs under the filter that are not due, and why.
    nothing : str or None
        What to say if there is no such run; None when the target rule was not asked for.
    """

    def __init__(self, repo: Repo, name: str | None = None) -> None:
        self.repo = repo
        self.name = name or f"{int(time.time())}-{os.getpid()}-{os.urandom(3).hex()}"
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"{self.name!r} is not a session", "only the packaged rules call this")
        self.runs: list[str] = []
        self.left_out: list[str] = []
        self.nothing: str | None = None

    @property
    def path(self) -> str:
        """Where the record lies."""
        return self.repo.cache("sessions", f"{self.name}.json")

    def begin(self, slurm_run_id: str | None = None) -> None:
        """Write the record, repair what earlier sessions left, cancel what they left pending."""
        identity = host_identity()
        content = {
            "began_at": utc_now(),
            "host": identity.host,
            "machine_id": identity.machine_id,
            "boot_id": identity.boot_id,
            "pid": os.getpid(),
            "start": start_time(os.getpid()),
            "slurm_run_id": slurm_run_id,
            "nothing": self.nothing,
            "runs": self.runs,
            "left_out": self.left_out,
        }
        write_atomic(self.path, json.dumps(content).encode())
        self._end_dead_sessions()
        self.repair()

    def end(self) -> None:
        """Repair once more and remove the record."""
        self.repair()
        remove(self.path)

    def repair(self) -> None:
        """Reconcile the store and say what was done."""
        try:
            repairs = reconcile(self.repo)
        except AexpError as error:
            _say(f"the store could not be checked: {error.message}")
            return
        for line in repairs.settled:
            _say(line)
        if repairs.restored:
            _say(f"made outputs again for {len(repairs.restored)} ended run(s)")
        for job_id in repairs.abandoned:
            _say(f"{short(job_id)}: abandoned, a parent did not complete")
        for line in repairs.problems:
            _say(line)

    def _end_dead_sessions(self) -> None:
        """Cancel what dead sessions left pending in Slurm; forget them."""
        try:
            names = os.listdir(os.path.dirname(self.path))
        except OSError:
            return
        for name in sorted(names):
            path = self.repo.cache("sessions", name)
            if path == self.path or not name.endswith(".json"):
                continue
            try:
                record = read_object(path)
            except CorruptFile:
                remove(path)
                continue
            if record is not None and _is_dead(record):
                self._cancel_pending(record)
                remove(path)

    def _cancel_pending(self, record: dict[str, Any]) -> None:
        run_id = record.get("slurm_run_id")
        if not isinstance(run_id, str) or not run_id or not slurm.available():
            return
        pending = slurm.pending_jobs(run_id)
        if pending:
            try:
                slurm.cancel(pending, "--state=PENDING")
                _say(f"cancelled {len(pending)} Slurm job(s) that a dead session left pending")
            except AexpError as error:
                _say(error.message)

    def verdict(self) -> int:
        """Print what is not complete of this session's runs; 0 when everything is.

        The record remembers that this was said, so that it is said once.
        """
        record = read_object(self.path)
        if record is None:
            raise StatusError(
                "this Snakemake session has no record, so it cannot be said whether it is complete",
                "call snakemake without --no-hooks, or see: aexp queue list --include-terminal",
            )
        ids = [job_id for job_id in record.get("runs", []) if isinstance(job_id, str)]
        left_out = [str(line) for line in record.get("left_out", [])]
        if not ids:
            _say(f"nothing to run: {record.get('nothing')}")
        ended = self._print_runs(ids)
        for line in left_out[:_SHOWN]:
            _say("not due: " + line)
        if len(left_out) > _SHOWN:
            _say(f"... and {len(left_out) - _SHOWN} more; see: aexp queue list")
        record["said"] = True
        write_atomic(self.path, json.dumps(record).encode())
        return 0 if ended == len(ids) else 1

    def _print_runs(self, ids: list[str]) -> int:
        """Say which runs are not complete; return how many are."""
        complete = 0
        others: list[str] = []
        has_ended = is_left = False
        for job_id in ids:
            try:
                run = read_run(self.repo, job_id)
            except AexpError as error:
                others.append(f"{short(job_id)}: {error.message}")
                continue
            if run.status == COMPLETE:
                complete += 1
            else:
                others.append(_describe(run))
                has_ended = has_ended or run.is_terminal
                is_left = is_left or not run.is_terminal
        if ids:
            _say(f"{complete} of {len(ids)} run(s) complete")
        for line in others[:_SHOWN]:
            _say("not complete: " + line)
        if len(others) > _SHOWN:
            _say(f"... and {len(others) - _SHOWN} more; see: aexp queue list --include-terminal")
        if others:
            again = "aexp queue retry --failed" if has_ended else "call the same command"
            _say(f"look: aexp show-run ID, aexp logs ID; again: {again}")
        if has_ended and is_left:
            _say("what is still queued is executed by the next call")
        return complete

    def close_with_error(self) -> None:
        """Print the verdict unless the target rule has printed it, then `end`."""
        try:
            record = read_object(self.path) or {}
            self.repair()
            if not record.get("said") and record.get("nothing") is not None:
                self.verdict()
        except AexpError as error:
            _say(error.message)
        remove(self.path)


def _describe(run: Run) -> str:
    parts = [f"{short(run.job_id)} {run.status}"]
    condition = run.sp.get("condition")
    if condition is not None:
        parts.append(printable(condition))
    cause = run.record.get("cause")
    code = run.record.get("returncode")
    if cause:
        parts.append(f"cause {cause}")
    elif code is not None:
        parts.append(f"exit code {code}")
    tail = section(run.queue, "last_error").get("stderr_tail") if run.status != STOPPED else None
    last = str(tail).strip().splitlines()[-1:] if tail else []
    return ", ".join(parts) + (f": {printable(last[0])[:160]}" if last else "")


def _is_dead(record: dict[str, Any]) -> bool:
    here = host_identity()
    if (record.get("host"), record.get("machine_id")) != (here.host, here.machine_id):
        return False
    pid, start = record.get("pid"), record.get("start")
    if record.get("boot_id") != here.boot_id or not isinstance(pid, int):
        return True
    return not is_running(pid, start if isinstance(start, float) else None)


def _say(text: str) -> None:
    sys.stderr.write(f"aexp: {text}\n")
    sys.stderr.flush()
