"""The environment of a recorded attempt, for somebody who wants to work in it again."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from aexp.environment.names import allowed
from aexp.environment.scrub import REDACTED
from aexp.model import Run, section
from aexp.paths import METRICS, STATEPOINT, Repo

# Of the machine, the terminal or the scheduler: wrong anywhere else. And a file that names
# libraries to be loaded into every program is not obeyed.
_ELSEWHERE = """
SHELL HOSTNAME CI LD_PRELOAD VIRTUAL_ENV CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_SHLVL
CUDA_VISIBLE_DEVICES NVIDIA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES
ZE_AFFINITY_MASK GPU_DEVICE_ORDINAL RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE NODE_RANK
GROUP_RANK MASTER_ADDR MASTER_PORT KUBERNETES_SERVICE_HOST LOADEDMODULES _LMFILES_
APPTAINER_CONTAINER APPTAINER_NAME SINGULARITY_CONTAINER SINGULARITY_NAME
WANDB_RUN_ID WANDB_RESUME MLFLOW_RUN_ID
"""
_NOT_AGAIN = frozenset(_ELSEWHERE.split())
_NOT_AGAIN_PREFIXES = ("SLURM_", "SLURMD_", "AEXP_")


class ShellEnvironment(NamedTuple):
    """The variables of a shell.

    Attributes
    ----------
    variables : dict
        All of them: those of now, those of then, and the run's own.
    changed : list of str
        Names that have another value than now, or none now.
    missing : list of str
        Names whose value was not recorded, or only in part.
    """

    variables: dict[str, str]
    changed: list[str]
    missing: list[str]


def shell_environment(
    repo: Repo, run: Run, number: int, content: Mapping[str, Any], now: Mapping[str, str]
) -> ShellEnvironment:
    """Return the environment of one attempt on top of the present one.

    Metrics that a command writes there go to a file of their own: the run's results stay.
    """
    recorded = section(dict(content), "variables")
    changed: list[str] = []
    missing: list[str] = []
    variables = {name: value for name, value in now.items() if not name.startswith("AEXP_CLAIM")}
    for name, value in sorted(recorded.items()):
        if not _is_again(name) or not isinstance(value, str) or "\0" in value:
            continue
        if REDACTED in value or value.endswith(" characters)"):
            missing.append(name)
        elif now.get(name) != value:
            changed.append(name)
            variables[name] = value
    metrics = repo.cache("shell", run.job_id, METRICS)
    os.makedirs(os.path.dirname(metrics), exist_ok=True)
    variables |= {
        "AEXP_JOB_ID": run.job_id,
        "AEXP_JOB_WORKSPACE": repo.run_dir(run.job_id),
        "AEXP_STATEPOINT_PATH": repo.run_file(run.job_id, STATEPOINT),
        "AEXP_METRICS_PATH": metrics,
        "AEXP_ATTEMPT": str(number),
    }
    return ShellEnvironment(variables, changed, missing)


def _is_again(name: object) -> bool:
    if not isinstance(name, str) or not name.isidentifier():
        return False
    if name in _NOT_AGAIN or name.startswith(_NOT_AGAIN_PREFIXES):
        return False
    return allowed(name)
