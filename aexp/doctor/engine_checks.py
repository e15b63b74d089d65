"""Snakemake, its plugin, Slurm, and the trackers: what is installed, what answers."""

import os
import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from itertools import pairwise

from aexp.doctor.diagnosis import Diagnosis, error, ok, warn
from aexp.paths import Repo
from aexp.slurm import ask

# Distribution: least version, first version that nobody has tried. As in pyproject.toml.
_NEEDED = {
    "snakemake": ((9, 13), (10,)),
    "snakemake-executor-plugin-slurm": ((2, 6), (3,)),
    "signac": ((2, 4), (3,)),
}
_MIN_JOB_AGE_S = 120


def packages(repo: Repo) -> Iterator[Diagnosis]:
    """Check the versions of what executes runs."""
    for name, (least, first_untried) in _NEEDED.items():
        wanted = f"'{name}>={_dotted(least)},<{_dotted(first_untried)}'"
        found = _version(name)
        if found is None:
            yield error("engine", f"{name} is not installed", f"pip install {wanted}")
            continue
        numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:3])
        if not least <= numbers < first_untried:
            what = f"{name} {found} is not a version that aexp is made for"
            yield error("engine", what, f"pip install {wanted}")
        else:
            yield ok("engine", f"{name} {found}")
    if shutil.which("snakemake") is None:
        what = "the command snakemake is not on the PATH; aexp run finds it all the same"
        yield warn("engine", what, "activate the environment that aexp is installed in")


def slurm(repo: Repo) -> Iterator[Diagnosis]:
    """Check that Slurm answers, where its commands are."""
    missing = [name for name in ("squeue", "sbatch", "scancel") if shutil.which(name) is None]
    if len(missing) == 3:
        yield ok("slurm", "not on this machine; snakemake --cores N executes runs here")
        return
    if missing:
        what = f"{', '.join(missing)} not on the PATH, other commands of Slurm are"
        yield warn("slurm", what, "load your site's slurm module, or use a login node")
        return
    answer = ask("squeue", "-h", "-u", str(os.getuid()), "-O", "JobID:20")
    if answer is None or answer.code != 0:
        reason = (answer.err.strip().splitlines() or ["no reason given"])[-1] if answer else ""
        what = f"squeue does not answer: {reason or 'it takes too long'}"
        # Commands without a cluster to ask are no fault of this machine's.
        level = warn if "configuration source" in reason else error
        yield level("slurm", what, "scontrol ping    (shows whether the controller is up)")
        return
    yield ok("slurm", f"answers; {len(answer.out.split())} job(s) of yours")
    config = ask("scontrol", "show", "config")
    age = re.search(r"^MinJobAge\s*=\s*(\d+)", config.out, re.MULTILINE) if config else None
    if age and int(age[1]) < _MIN_JOB_AGE_S:
        yield warn(
            "slurm",
            f"MinJobAge is {age[1]} s: ended jobs are forgotten before Snakemake has looked",
            "lower slurm-init-seconds-before-status-checks in profiles/slurm/config.yaml to "
            f"{max(int(age[1]) // 4, 1)}",
        )


def trackers(repo: Repo) -> Iterator[Diagnosis]:
    """Say which tracker can be used; of a key only whether there is one."""
    version = _version("wandb")
    if version is None:
        yield ok("trackers", "W&B is not installed (pip install 'aexp[wandb]' if you use it)")
        return
    place = _key_place()
    if place:
        yield ok("trackers", f"wandb {version}, a key is present ({place})")
    elif os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        yield ok("trackers", f"wandb {version}, {os.environ['WANDB_MODE']}; no key is present")
    else:
        what = f"wandb {version} has no key; runs can be tracked offline only"
        yield warn("trackers", what, "wandb login")


def _key_place() -> str | None:
    if os.environ.get("WANDB_API_KEY", "").strip():
        return "WANDB_API_KEY"
    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    host = re.sub(r"^\w+://|[:/].*$", "", os.environ.get("WANDB_BASE_URL", "")) or "api.wandb.ai"
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            words = file.read().split()
    except OSError:
        return None
    return "netrc" if ("machine", host) in pairwise(words) else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
