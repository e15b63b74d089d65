"""Experiments: what the frontmatter of ``E###-slug.md`` says about running them."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from aexp.errors import ArtifactNotFound, ArtifactReadError, ParameterError
from aexp.kb.artifacts import find_artifact
from aexp.kb.frontmatter import read_frontmatter
from aexp.kb.tracker import read_tracker
from aexp.model import check_experiment_id
from aexp.paths import Repo

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_UNIT_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Experiment(NamedTuple):
    """An experiment as its file declares it.

    Attributes
    ----------
    experiment_id : str
        ``E`` and digits.
    path : str
        Absolute path of the markdown file.
    meta : dict
        The whole frontmatter.
    """

    experiment_id: str
    path: str
    meta: dict[str, Any]

    @property
    def hypothesis_id(self) -> str | None:
        """The hypothesis that the experiment tests."""
        value = self.meta.get("hypothesis")
        return value if isinstance(value, str) and value else None

    @property
    def runner_command(self) -> str | None:
        """Template of the command that executes one run."""
        return self._text("runner_command")

    @property
    def prelude(self) -> str | None:
        """Shell lines to run before the command: module load, conda activate."""
        return self._text("prelude")

    @property
    def conditions(self) -> dict[str, dict[str, Any]]:
        """Named configurations: condition name to state-point keys."""
        value = self.meta.get("conditions") or {}
        if not isinstance(value, dict) or not all(
            isinstance(block, dict) for block in value.values()
        ):
            raise ArtifactReadError(
                f"{self.path}: conditions is not a mapping of names to mappings",
                "write conditions: {full: {model: baseline}, ...}",
            )
        return {
            str(name): {str(key): item for key, item in block.items()}
            for name, block in value.items()
        }

    @property
    def retries(self) -> int:
        """How many more attempts a failing command gets."""
        return self._count("retries", 0) or 0

    @property
    def max_faults(self) -> int | None:
        """After how many faults of the infrastructure a run has failed."""
        return self._count("max_faults", 1)

    @property
    def timeout_s(self) -> float | None:
        """How long one attempt may take, in seconds."""
        value = self.meta.get("timeout")
        if value is None:
            return None
        try:
            return parse_duration(value)
        except ParameterError as error:
            raise ArtifactReadError(f"{self.path}: timeout: {error.message}", error.hint) from None

    @property
    def resources(self) -> dict[str, Any]:
        """Snakemake resources of one run, before they are scaled by the attempt."""
        value = self.meta.get("resources") or {}
        if not isinstance(value, dict):
            raise ArtifactReadError(
                f"{self.path}: resources is not a mapping",
                "write resources: {mem_mb: 8000, runtime: 120}",
            )
        return {str(key): item for key, item in value.items()}

    @property
    def tracker(self) -> dict[str, Any] | None:
        """Where its runs are tracked, None when they are not."""
        try:
            return read_tracker(self.meta.get("tracker"))
        except ParameterError as error:
            raise ArtifactReadError(f"{self.path}: {error.message}", error.hint) from None

    def _count(self, key: str, least: int) -> int | None:
        value = self.meta.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ArtifactReadError(
                f"{self.path}: {key} is {value!r}", f"write a number, {least} or more"
            )
        return value

    def _text(self, key: str) -> str | None:
        value = self.meta.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise ArtifactReadError(f"{self.path}: {key} is not a text", f'write {key}: "..."')
        return value


def find_experiment(repo: Repo, experiment_id: str) -> str:
    """Return the path of an experiment's file.

    Raises
    ------
    ArtifactNotFound
        If no file, or more than one, carries that id.
    """
    check_experiment_id(experiment_id)
    try:
        return find_artifact(repo, experiment_id)
    except ArtifactNotFound as error:
        if "claimed by" in error.message:
            raise
        raise ArtifactNotFound(
            error.message,
            'make it: aexp new-experiment --title "..." --hypothesis H001',
        ) from None


def load_experiment(repo: Repo, experiment_id: str) -> Experiment:
    """Read an experiment.

    Raises
    ------
    ArtifactNotFound
        If there is no such experiment.
    ArtifactReadError
        If its frontmatter cannot be read.
    """
    path = find_experiment(repo, experiment_id)
    return Experiment(experiment_id, path, read_frontmatter(path))


def parse_duration(value: object) -> float:
    """Return a duration in seconds: a number, or text such as ``90s``, ``15m``, ``2h``, ``1d``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e9:
        return float(value)
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match and float(match[1]) > 0:
            return float(match[1]) * _UNIT_S[match[2]]
    raise ParameterError(f"{value!r} is not a duration", "write seconds, or 90s, 15m, 2h, 1d")


def json_value(value: Any, where: str) -> Any:
    """Return `value` as JSON would give it back (YAML dates become text).

    Raises
    ------
    ParameterError
        If `value` cannot be expressed in JSON.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ParameterError(f"{where} is {value}, which JSON cannot hold", "write it as text")
        return value
    if isinstance(value, Mapping):
        return {str(key): json_value(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise ParameterError(
        f"{where} is a {type(value).__name__}, which a state point cannot hold",
        "use numbers, text, true/false, lists and mappings",
    )
