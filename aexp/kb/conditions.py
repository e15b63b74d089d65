"""Resolve a run's state point against its experiment: conditions, types, defaults."""

import json
from collections.abc import Mapping
from typing import Any

from aexp.errors import ParameterError
from aexp.kb.experiments import Experiment, json_value, load_experiment
from aexp.kb.parameters import parse_schema
from aexp.kb.values import typed
from aexp.model import INIT_FROM
from aexp.paths import Repo

CONDITION_DIGEST = "condition_digest"  # in a job document and a ledger entry
RESERVED_KEYS = frozenset(
    {
        "experiment_id",
        "hypothesis_id",
        "sub_hypothesis_id",
        "code_commit",
        "code_dirty",
        "job_id",
        "sp_json",
        "sp_json_shell",
    }
)


class Resolver:
    """Turns what a user wrote into the state point to freeze, for one experiment.

    Parameters
    ----------
    experiment : Experiment
        Whose ``conditions:`` and ``parameters:`` apply.
    resolve_conditions : bool, default True
        Whether ``condition=NAME`` pulls in the named block.
    """

    def __init__(self, experiment: Experiment, *, resolve_conditions: bool = True) -> None:
        self._conditions = {
            name: {key: json_value(item, f"conditions.{name}.{key}") for key, item in block.items()}
            for name, block in experiment.conditions.items()
        }
        self._resolve = resolve_conditions
        self._schema = parse_schema(experiment.meta.get("parameters"), experiment.path)
        self._extra = {"condition", INIT_FROM} | {
            key for block in self._conditions.values() for key in block
        }

    def state_point(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return `given` merged over its condition's block, typed and checked.

        The user's keys win over the condition's.

        Raises
        ------
        ParameterError
            If a key is reserved, or contradicts the experiment's ``parameters:``.
        """
        for key in given:
            if key in RESERVED_KEYS:
                raise ParameterError(
                    f"{key} is set by aexp and cannot be given",
                    "use --experiment, --hypothesis or --no-commit",
                )
        block: dict[str, Any] = {}
        condition = given.get("condition")
        if self._resolve and condition is not None:
            block = self._conditions.get(str(condition), {})
            if not block and self._conditions and str(condition) not in self._conditions:
                raise ParameterError(
                    f"no condition {str(condition)!r} in the experiment's conditions: "
                    + ", ".join(self._conditions),
                    "correct the name, or pass --no-resolve to store a bare label",
                )
        merged = {**block, **given}
        if self._schema is not None:
            return self._schema.apply(merged, self._extra)
        return {key: typed(value) for key, value in merged.items()}

    def given_point(self, sp: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state point's own keys, checked and with defaults; no condition is used.

        Raises
        ------
        ParameterError
            If it contradicts the experiment's ``parameters:``.
        """
        own = {key: value for key, value in sp.items() if key not in RESERVED_KEYS}
        return own if self._schema is None else self._schema.apply(own, self._extra)

    def condition_digest(self, sp: Mapping[str, Any]) -> str | None:
        """Return the digest of the block that a state point's condition stands for, if any."""
        name = sp.get("condition")
        block = self._conditions.get(str(name)) if name is not None and self._resolve else None
        if block is None:
            return None
        from hashlib import sha256

        return "sha256:" + sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()


def resolve_sp(
    experiment_id: str, user_sp: Mapping[str, Any], *, repo: Repo | None = None
) -> dict[str, Any]:
    """Return the state point that queueing `user_sp` under an experiment would freeze.

    Parameters
    ----------
    experiment_id : str
        The experiment whose conditions and parameters apply.
    user_sp : mapping
        Keys and values as the user gave them.
    repo : Repo, optional
        Default: the repository around the current folder.
    """
    experiment = load_experiment(repo or Repo.find(), experiment_id)
    return Resolver(experiment).state_point(user_sp)
