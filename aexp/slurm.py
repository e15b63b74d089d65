"""What Slurm says about its jobs, asked through its own commands."""

import os
import subprocess
import time
from collections.abc import Iterable
from typing import NamedTuple

from aexp.errors import EngineFailed

_TIMEOUT_S = 15.0

ALIVE = "alive"
DEAD = "dead"
UNKNOWN = "unknown"

# Slurm ends a job by several SIGTERMs to all its processes, also to the one that asks why.
_UNDISTURBED = 'trap "" TERM HUP; exec "$@"'

_START_VARIABLE = "AEXP_SLURM_START"

_RUNNING_STATES = frozenset(
    {
        "RUNNING",
        "COMPLETING",
        "CONFIGURING",
        "SUSPENDED",
        "STAGE_OUT",
        "SIGNALING",
        "STOPPED",
        "RESIZING",
    }
)
_FAULTS = {
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "OUT_OF_MEMORY": "oom",
    "NODE_FAIL": "node_fail",
    "BOOT_FAIL": "node_fail",
}
_INTERRUPTIONS = frozenset({"CANCELLED", "PREEMPTED", "PENDING", "REQUEUED", "REVOKED"})


def allocation() -> str | None:
    """Return the id of the Slurm job this process runs in, None outside of one."""
    return os.environ.get("SLURM_JOB_ID") or None


def restart_count() -> int:
    """Return how often Slurm has requeued the job this process runs in."""
    count = os.environ.get("SLURM_RESTART_COUNT")
    if count is None:
        of, _, count = os.environ.get(_START_VARIABLE, "").partition(":")
        if not of or of != allocation():
            return 0
    try:
        return int(count)
    except ValueError:
        return 0


def array_task() -> int | None:
    """Return the number of the array task that this process is part of, None outside of one."""
    task = os.environ.get("SLURM_ARRAY_TASK_ID", "")
    return int(task) if task.isdecimal() else None


def array_facts() -> dict[str, str | int]:
    """Return what an attempt records of the array and the restarts of its Slurm job."""
    found: dict[str, str | int] = {}
    array, task, restarts = os.environ.get("SLURM_ARRAY_JOB_ID"), array_task(), restart_count()
    if array and task is not None:
        found["slurm_array_job_id"], found["slurm_array_task_id"] = array, task
    if restarts:
        found["slurm_restarts"] = restarts
    return found


def remember_start() -> None:
    """Put the restart count where the processes that this one starts will find it.

    Snakemake's Slurm executor removes ``SLURM_RESTART_COUNT`` between a job's script and
    the job step that executes the run. Without it a claim would name the wrong start of
    the job, and everybody else would take its living owner for dead.
    """
    job_id = allocation()
    if job_id is not None:
        os.environ[_START_VARIABLE] = f"{job_id}:{restart_count()}"


def cluster() -> str | None:
    """Return the name of the cluster this process runs in, None outside of a job."""
    return os.environ.get("SLURM_CLUSTER_NAME") or None


def available() -> bool:
    """Return whether Slurm's commands are on this machine."""
    import shutil  # costs more than all that a run without Slurm needs of this module

    return shutil.which("squeue") is not None


class Reply(NamedTuple):
    """What one of Slurm's programs has answered."""

    code: int
    out: str
    err: str


def ask(*command: str, timeout_s: float = _TIMEOUT_S) -> Reply | None:
    """Ask one of Slurm's programs; None when it is missing or does not answer in time."""
    import shutil

    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", _UNDISTURBED, "sh", *command],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
            # A person's own way to write times must not hide the end of a job.
            env={**os.environ, "SLURM_TIME_FORMAT": "standard"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Reply(done.returncode, done.stdout, done.stderr)


class JobStates:
    """States of Slurm jobs, asked once and remembered for the life of this object."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, int] | None] = {}
        self._listed = False
        self._silence: str | None = None
        self._cluster: str | None = None

    def of(self, slurm_job_id: str, restart: int, cluster: str | None = None) -> tuple[str, str]:
        """Return whether the given start of a Slurm job still runs, and why we think so.

        Parameters
        ----------
        slurm_job_id : str
            The raw job id (an array task has one of its own).
        restart : int
            Slurm's restart count when the owner started.
        cluster : str, optional
            The cluster the job belongs to, where several share a file system: job numbers
            mean nothing on another one.

        Returns
        -------
        tuple of str
            ``alive``, ``dead`` or ``unknown``, and the reason.
        """
        if not slurm_job_id.isdigit():
            return UNKNOWN, f"{slurm_job_id!r} is not a Slurm job id"
        if cluster is not None and cluster != (here := self._this_cluster()):
            if not here:
                return UNKNOWN, "Slurm does not say which cluster this is"
            return UNKNOWN, f"Slurm job {slurm_job_id} belongs to cluster {cluster}"
        if not self._listed:
            self._list_own()
        if slurm_job_id not in self._known:
            self._look_up(slurm_job_id)
        if slurm_job_id not in self._known:
            return UNKNOWN, self._silence or "squeue does not answer"
        found = self._known[slurm_job_id]
        if found is None:
            return DEAD, f"Slurm does not know job {slurm_job_id} any more"
        state, restarts = found
        if restarts > restart:
            return DEAD, f"Slurm has requeued job {slurm_job_id}"
        if state in _RUNNING_STATES:
            return ALIVE, f"Slurm job {slurm_job_id} is {state}"
        return DEAD, f"Slurm job {slurm_job_id} is {state}"

    def _this_cluster(self) -> str | None:
        if self._cluster is None:
            self._cluster = cluster() or _configured_cluster() or ""
        return self._cluster

    def _list_own(self) -> None:
        self._listed = True
        answer = ask("squeue", "-h", "-t", "all", "-u", str(os.getuid()), "-O", _COLUMNS)
        if answer is None:
            return  # a long list takes long: one job may still be answered in time
        if answer.code == 0:
            self._read(answer.out)
        else:
            self._silence = _complaint(answer.err)

    def _look_up(self, slurm_job_id: str) -> None:
        """Ask about one job, unless Slurm has failed to answer: many runs wait for this."""
        if self._silence is not None:
            return
        answer = ask("squeue", "-h", "-t", "all", "-j", slurm_job_id, "-O", _COLUMNS)
        if answer is None:
            self._silence = "squeue does not answer"
        elif answer.code == 0 or "Invalid job id" in answer.err:
            self._known[slurm_job_id] = None
            self._read(answer.out)
        else:
            self._silence = _complaint(answer.err)

    def _read(self, text: str) -> None:
        for line in text.splitlines():
            fields = line.split()
            if len(fields) == 3 and fields[2].isdigit():
                self._known[fields[0]] = (fields[1], int(fields[2]))


def _complaint(errors: str) -> str:
    return "squeue failed: " + (errors.strip().splitlines() or ["no reason given"])[-1]


def _configured_cluster() -> str | None:
    answer = ask("scontrol", "show", "config")
    if answer is None or answer.code != 0:
        return None
    for line in answer.out.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "ClusterName":
            return value.strip()
    return None


_COLUMNS = "JobID:20,State:20,RestartCnt:12"


def end_cause(slurm_job_id: str, restart: int) -> tuple[str | None, bool]:
    """Return why Slurm ended one start of a job, as far as its controller still knows.

    Parameters
    ----------
    slurm_job_id : str
        The raw job id.
    restart : int
        Slurm's restart count of that start.

    Returns
    -------
    cause : str or None
        ``timeout``, ``oom`` or ``node_fail`` when Slurm names such an end; ``requeued``
        when the job has started again since, or is about to.
    interrupted : bool
        True for a cancelled, preempted or requeued job: an end that counts as nothing.
    """
    fields = _job_fields(slurm_job_id)
    state = fields.get("JobState", "")
    if fields.get("Restarts", "").isdigit() and int(fields["Restarts"]) > restart:
        return "requeued", True
    if state == "COMPLETING" and fields.get("Reason") == "TimeLimit":
        return "timeout", False
    if state == "FAILED" and fields.get("ExitCode", "").endswith(":9"):
        return "oom", False  # a plug-in without cgroups kills for memory, and says only this
    return _FAULTS.get(state), state in _INTERRUPTIONS


def running_until(slurm_job_id: str, timeout_s: float = _TIMEOUT_S) -> float | None:
    """Return when a running job reaches its time limit, in seconds since 1970.

    None when it has no limit, is being ended already, or Slurm does not answer in time.
    """
    return _end_of(_job_fields(slurm_job_id, timeout_s))


def nears_limit(slurm_job_id: str, within_s: float) -> bool:
    """Return whether a running job that nobody preempts has less time left than this."""
    fields = _job_fields(slurm_job_id)
    end = _end_of(fields)
    is_preempted = fields.get("PreemptTime", "None") != "None"  # its end is set near then
    return end is not None and not is_preempted and end - time.time() <= within_s


def _end_of(fields: dict[str, str]) -> float | None:
    if fields.get("JobState") != "RUNNING":
        return None
    try:
        return time.mktime(time.strptime(fields.get("EndTime", ""), "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None


def _job_fields(slurm_job_id: str, timeout_s: float = _TIMEOUT_S) -> dict[str, str]:
    answer = ask("scontrol", "-o", "show", "job", slurm_job_id, timeout_s=timeout_s)
    fields: dict[str, str] = {}
    for word in answer.out.split() if answer is not None and answer.code == 0 else ():
        name, equals, value = word.partition("=")
        if equals:
            fields.setdefault(name, value)  # a later one may be part of a command or a comment
    return fields


def cancel(slurm_job_ids: Iterable[str], *arguments: str) -> None:
    """Run ``scancel`` for some jobs.

    Raises
    ------
    EngineFailed
        If ``scancel`` is missing or refuses.
    """
    ids = list(slurm_job_ids)
    if not ids:
        return
    answer = ask("scancel", *arguments, *ids)
    if answer is None or answer.code != 0:
        reason = "scancel does not answer" if answer is None else answer.err.strip()
        raise EngineFailed(
            f"cannot cancel Slurm job {', '.join(ids)}: {reason}",
            "run it on a login node of that cluster, when the controller answers",
        )


def pending_jobs(name: str) -> list[str]:
    """Return this user's jobs of a given job name that have not started."""
    answer = ask(
        "squeue", "-h", "-t", "PENDING", "-u", str(os.getuid()), "-n", name, "-O", "JobID:20"
    )
    return answer.out.split() if answer and answer.code == 0 else []
