"""Open a run before its command starts: MLflow gives it the id that the command needs.

``python -m aexp.trackers.mlflow.open`` reads what is wanted as JSON and prints the command's
variables. A process of its own: MLflow's import costs 170 MB, which the process that waits for
the command should not keep, and a process can be ended when a server hangs.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from aexp.errors import AexpError
from aexp.trackers.mlflow.local import note_away
from aexp.trackers.mlflow.where import QUIET, URI_VARIABLE

LIMIT_S = 14.0
# The command waits: no second try.
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "3", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def hand_over(
    options: Mapping[str, Any],
    binding: Mapping[str, Any],
    workspace: str,
    offline: bool,
    limit_s: float = LIMIT_S,
) -> dict[str, str]:
    """Return the variables of the command, none when MLflow cannot be asked in time."""
    wanted = {
        "options": dict(options),
        "workspace": workspace,
        "offline": offline,
        **{key: binding.get(key) for key in ("project", "group", "run_id")},
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "aexp.trackers.mlflow.open"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**_IMPATIENT, **os.environ},
            start_new_session=True,
            text=True,
        )
    except OSError:
        return {}
    with process:
        try:
            output, _ = process.communicate(json.dumps(wanted), timeout=limit_s)
        except subprocess.TimeoutExpired:
            return {}
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    try:
        found = json.loads(output.splitlines()[-1])  # MLflow may have said something before
    except (ValueError, IndexError):
        return {}
    return {str(key): str(value) for key, value in found.items()}


def variables(wanted: Mapping[str, Any]) -> dict[str, str]:
    """Open the run, offline when it cannot be online, and return the command's variables."""
    from aexp.trackers.mlflow.adapter import MlflowAdapter

    adapter = MlflowAdapter(**wanted["options"])
    adapter.marks = False
    where = {key: wanted[key] for key in ("project", "group", "run_id", "workspace")}
    try:
        handle = adapter.init_run(**where, offline=wanted["offline"])
    except AexpError as error:
        if wanted["offline"]:
            raise
        print(f"aexp: {error.message}; the run is kept offline", file=sys.stderr)
        note_away(wanted["workspace"], error)
        handle = adapter.init_run(**where, offline=True)
    opened = handle.extra["opened"]
    return {
        URI_VARIABLE: opened.store.uri,
        "MLFLOW_RUN_ID": opened.id,
        "MLFLOW_EXPERIMENT_NAME": str(handle.project),
        **{key: value for key, value in QUIET.items() if key not in os.environ},
    }


def main() -> int:
    """Answer one request on the standard input."""
    try:
        answer = variables(json.load(sys.stdin))
    except AexpError as error:
        print(f"aexp: {error.message}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
