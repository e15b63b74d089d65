"""What a run is registered with before it begins: its sidecar, frozen, or why it has none."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aexp.errors import ArtifactReadError, GateError, UsageError
from aexp.kb.frontmatter import read_document
from aexp.model import printable
from aexp.paths import Repo
from aexp.preregistration.folders import SCRIPTS
from aexp.preregistration.meaning import AGENT_MODES, Problem
from aexp.preregistration.script import Script, ScriptFinder
from aexp.preregistration.sidecar import Sidecar, of_note, read_sidecar

DECLARED, BYPASSED = "declared", "bypassed"
GATE_VERSION = 1
_SHOWN = 5


class Registration(NamedTuple):
    """What one run is registered with.

    Attributes
    ----------
    record : dict or None
        For ``aexp_run.preregistration`` of the job document; None when there is nothing to
        keep: no sidecar, no bypass, no agent mode.
    warnings : list of str
        What the user should know.
    """

    record: dict[str, Any] | None
    warnings: list[str]


def check_agent_mode(value: str | None) -> str | None:
    """Return `value` if it is a mode or None, else raise `UsageError`."""
    if value is not None and value not in AGENT_MODES:
        raise UsageError(f"{value!r} is not an agent mode", "one of: " + ", ".join(AGENT_MODES))
    return value


class Registrar:
    """Registers the runs of one call; each file is read once.

    Parameters
    ----------
    repo : Repo
        The repository.
    note : str, optional
        Path of the experiment's note: its ``preregistration`` goes before the script's sidecar.
    use_sidecar : bool, default True
        False executes without, and the run counts as bypassed.
    agent_mode : str, optional
        ``collaborative`` or ``autonomous``; default what the pre-registration says, or nothing.
    bypass : str
        How the caller runs without, for the hint.
    """

    def __init__(
        self,
        repo: Repo,
        note: str | None = None,
        *,
        use_sidecar: bool = True,
        agent_mode: str | None = None,
        bypass: str = "--no-sidecar",
    ) -> None:
        self._repo = repo
        self._bypassing = bypass
        self._use = use_sidecar
        self._mode = check_agent_mode(agent_mode)
        self._scripts = ScriptFinder(repo)
        self._of_note = _note_of(repo, note) if note is not None else None
        self._made: dict[Script | None, Registration] = {}

    def of_command(self, command: str | None) -> Registration:
        """Return what a run of this shell command is registered with.

        Raises
        ------
        GateError
            If its script must have a sidecar and has none, or one that cannot be understood.
        """
        return self._of(None if command is None else self._scripts.of_command(command))

    def of_arguments(self, arguments: Sequence[str]) -> Registration:
        """Return the same for a program and its arguments."""
        return self._of(self._scripts.of_arguments(arguments))

    def _of(self, script: Script | None) -> Registration:
        if script not in self._made:
            self._made[script] = self._register(script)
        return self._made[script]

    def _register(self, script: Script | None) -> Registration:
        found = self._of_note
        if found is None and script is not None and script.has_sidecar:
            found = read_sidecar(self._repo, script.sidecar)
        if not self._use:
            return self._bypass(found)
        if found is None:
            return self._without(script)
        if found.meaning is None:
            return self._invalid(found, script)
        meaning = found.meaning
        kept: dict[str, Any] = {
            "mode": DECLARED,
            "sidecar": found.path,
            "sha256": found.sha256,
            "outcomes": [
                {
                    "label": outcome.label,
                    "condition": outcome.condition,
                    "decision": outcome.decision,
                    "residual": outcome.residual,
                }
                for outcome in meaning.outcomes
            ],
        }
        mode = self._mode or meaning.agent_mode
        return Registration({**kept, **({"agent_mode": mode} if mode else {})}, [])

    def _bypass(self, found: Sidecar | None) -> Registration:
        kept: dict[str, Any] = {"mode": BYPASSED}
        if found is not None:
            kept["sidecar"] = found.path
            if found.sha256 is not None:
                kept["sha256"] = found.sha256
        if self._mode:
            kept["agent_mode"] = self._mode
        return Registration(kept, [])

    def _without(self, script: Script | None) -> Registration:
        if script is not None and script.needs_sidecar:
            wrong = Problem((), 1, f"{script.path} has no sidecar")
            raise self._refused("sidecar_missing", script, script.sidecar, [wrong])
        warnings = []
        if script is not None and script.expects_sidecar:
            warnings.append(
                f"{printable(script.path)} has no sidecar {printable(script.sidecar)}: "
                "nothing says what its results will mean"
            )
        return Registration({"agent_mode": self._mode} if self._mode else None, warnings)

    def _invalid(self, found: Sidecar, script: Script | None) -> Registration:
        if found is self._of_note or (script is not None and script.needs_sidecar):
            raise self._refused("sidecar_invalid", script, found.path, found.problems)
        warning = (
            f"{printable(found.path)} cannot be understood and does not count: "
            f"{_listed(found.path, found.problems)}"
        )
        return Registration({"agent_mode": self._mode} if self._mode else None, [warning])

    def _refused(
        self, gate: str, script: Script | None, path: str, problems: Sequence[Problem]
    ) -> GateError:
        if gate == "sidecar_missing" and script is not None:
            name = os.path.splitext(script.path)[0].removeprefix(SCRIPTS + "/")
            name = name.removeprefix("experiments/")
            remedies = [f"write {path}; a beginning: aexp new-experiment --script {name}"]
        else:
            remedies = [f"mend {path}; check it: aexp lint"]
        remedies.append(f"or run without, which is recorded and counted: {self._bypassing}")
        if gate == "sidecar_missing":
            message = f"{printable(path)} is missing: nothing says what the results will mean"
        else:
            message = f"the pre-registration is not sound: {_listed(path, problems)}"
        reason: dict[str, object] = {
            "gate": gate,
            "gate_version": GATE_VERSION,
            "script": script.path if script is not None else None,
            "sidecar": path,
            "errors": [
                {"key": ".".join(item.key), "line": item.line, "message": item.message}
                for item in problems
            ],
            "agent_mode": self._mode,
            "remedies": remedies,
        }
        return GateError(message, printable("; ".join(remedies)), reason)


def _note_of(repo: Repo, path: str) -> Sidecar | None:
    try:
        return of_note(repo, read_document(path))
    except ArtifactReadError:
        return None  # whoever needs the note says so


def _listed(path: str, problems: Iterable[Problem]) -> str:
    shown = [f"{printable(path)}:{item.line}: {printable(item)}" for item in problems]
    more = f"; and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return "; ".join(shown[:_SHOWN]) + more
