"""What runs depend on beside their files: experiment, sidecar, code version, software."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from aexp.environment.interpreter import describe, describe_own, is_own
from aexp.environment.machine import read_platform
from aexp.environment.packages import site_folders
from aexp.environment.record import environment_path
from aexp.environment.snapshot import lock_digests, software_digest
from aexp.errors import AexpError
from aexp.files import read_object
from aexp.footprint.record import runner_digest
from aexp.freshness.evidence import experiment_of, last_attempt
from aexp.freshness.files import PresentFiles
from aexp.freshness.verdict import (
    CODE,
    COMMAND,
    ENVIRONMENT,
    PARAMETERS,
    SIDECAR,
    STALE,
    UNVERIFIABLE,
    Reason,
)
from aexp.git import code_pathspec, run_git
from aexp.kb.conditions import CONDITION_DIGEST, RESERVED_KEYS, Resolver
from aexp.kb.experiments import Experiment, load_experiment
from aexp.ledger.footprint import is_inside
from aexp.model import section
from aexp.paths import Repo, hostname
from aexp.preregistration.register import BYPASSED
from aexp.preregistration.sidecar import present_digest


class Surroundings:
    """The present state of what many runs share; each part is looked at once.

    Parameters
    ----------
    repo : Repo
        The repository.
    files : PresentFiles
        Its files.
    """

    def __init__(self, repo: Repo, files: PresentFiles) -> None:
        self._repo = repo
        self._files = files
        self._experiments: dict[str, Experiment | AexpError] = {}
        self._resolvers: dict[str, Resolver | AexpError] = {}
        self._commits: dict[str, str] = {}
        self._software: dict[str, str | None] = {}
        self._own: str | None = None

    def reasons(self, entry: Mapping[str, Any]) -> Iterator[Reason]:
        """Say what is not as it was when a run was executed."""
        if "code_files" not in entry:
            yield from self._code_version(entry)
        yield from self._experiment(entry)
        yield from self._sidecar(entry)
        yield from self._environment(entry)

    def _code_version(self, entry: Mapping[str, Any]) -> Iterator[Reason]:
        """Without a recorded file only the whole code can say that nothing has changed."""
        commit, dirty = entry.get("code_commit"), entry.get("code_dirty")
        if section(entry, "declared").get("code"):
            return  # said by the comparison of files
        if not isinstance(commit, str) or not commit:
            yield Reason(UNVERIFIABLE, CODE, "no file and no commit of its code is recorded")
        elif dirty:
            yield Reason(
                UNVERIFIABLE, CODE, "no file of its code is recorded, and it was not committed"
            )
        elif problem := self._since(commit):
            yield Reason(UNVERIFIABLE, CODE, f"no file of its code is recorded; {problem}")

    def _since(self, commit: str) -> str:
        """Return what git says of the code since a commit; nothing when it is the same."""
        if commit not in self._commits:
            try:
                # Not even git's index is written.
                words = ("-c", "diff.autoRefreshIndex=false", "diff", "--quiet", commit)
                done = run_git(self._repo, *words, *code_pathspec(self._repo))
                said = {0: "", 1: f"some code has changed since {commit[:12]}"}
                problem = said.get(done.code, f"its commit {commit[:12]} is not in this clone")
            except AexpError as error:
                problem = error.message
            self._commits[commit] = problem
        return self._commits[commit]

    def _experiment(self, entry: Mapping[str, Any]) -> Iterator[Reason]:
        name = experiment_of(dict(entry))
        if name is None:
            return
        experiment = self._loaded(name)
        if isinstance(experiment, AexpError):
            yield Reason(UNVERIFIABLE, PARAMETERS, experiment.message)
            return
        recorded = entry.get("runner")
        if recorded is not None:
            try:
                now = runner_digest(experiment.runner_command, experiment.prelude)
            except AexpError as error:
                yield Reason(UNVERIFIABLE, COMMAND, error.message)
            else:
                if now != recorded:
                    yield Reason(STALE, COMMAND, f"the command of {name} has changed")
        yield from self._parameters(name, experiment, entry)

    def _parameters(
        self, name: str, experiment: Experiment, entry: Mapping[str, Any]
    ) -> Iterator[Reason]:
        sp = section(entry, "statepoint")
        own = {key: value for key, value in sp.items() if key not in RESERVED_KEYS}
        resolver = self._resolver(name, experiment)
        if isinstance(resolver, AexpError):
            yield Reason(UNVERIFIABLE, PARAMETERS, resolver.message)
            return
        recorded = entry.get(CONDITION_DIGEST)
        if recorded is not None and resolver.condition_digest(sp) != recorded:
            detail = f"condition {own.get('condition')} of {name} has changed"
            yield Reason(STALE, PARAMETERS, detail)
            return
        try:
            resolved = resolver.given_point(own)
        except AexpError as error:
            yield Reason(STALE, PARAMETERS, f"{name} would not take them now: {error.message}")
            return
        different = sorted(
            key for key in {*own, *resolved} if own.get(key) != resolved.get(key) or key not in own
        )
        if different:
            changes = ", ".join(
                f"{key}: {_short(own.get(key))} then, {_short(resolved.get(key))} now"
                for key in different[:3]
            )
            yield Reason(STALE, PARAMETERS, f"{name} declares other parameters: {changes}")

    def _loaded(self, name: str) -> "Experiment | AexpError":
        if name not in self._experiments:
            try:
                self._experiments[name] = load_experiment(self._repo, name)
            except AexpError as error:
                self._experiments[name] = error
        return self._experiments[name]

    def _resolver(self, name: str, experiment: Experiment) -> "Resolver | AexpError":
        if name not in self._resolvers:
            try:
                self._resolvers[name] = Resolver(experiment)
            except AexpError as error:
                self._resolvers[name] = error
        return self._resolvers[name]

    def _sidecar(self, entry: Mapping[str, Any]) -> Iterator[Reason]:
        if entry.get("sidecar_mode") == BYPASSED:
            return  # nothing was judged by it
        path, before = entry.get("sidecar"), entry.get("sidecar_sha256")
        if not isinstance(path, str) or not isinstance(before, str) or not is_inside(path):
            return
        if path.endswith(".md"):  # of an experiment's note only what it pre-registers counts
            present = present_digest(self._repo, path)
            if present != before:
                said = "has another preregistration" if present else "has no preregistration now"
                yield Reason(STALE, SIDECAR, f"{path} {said}")
            return
        try:
            now = self._files.of(path)
        except OSError as error:
            yield Reason(UNVERIFIABLE, SIDECAR, f"{path}: {error.strerror}")
            return
        if now is None:
            yield Reason(STALE, SIDECAR, f"{path} is gone")
        elif now.sha256 != before.removeprefix("sha256:"):
            yield Reason(STALE, SIDECAR, f"{path} has changed")

    def _environment(self, entry: Mapping[str, Any]) -> Iterator[Reason]:
        """Compare software, where the one that is here is the one that the run has used.

        That is so in the clone that has executed it, on that host: elsewhere another
        environment is the rule, and says nothing about the run.
        """
        recorded = section(entry, "environment").get("software")
        attempt = last_attempt(dict(entry))
        if not isinstance(recorded, str) or attempt.get("host") != hostname():
            return
        if recorded not in self._software:
            self._software[recorded] = self._software_since(
                recorded, str(entry.get("job_id")), attempt.get("attempt")
            )
        changed = self._software[recorded]
        if changed:
            yield Reason(STALE, ENVIRONMENT, changed)

    def _software_since(self, recorded: str, job_id: str, number: Any) -> str | None:
        if recorded == self._own_software():
            return None
        try:
            path = environment_path(self._repo, job_id, number if isinstance(number, int) else 1)
            content = read_object(path)
        except AexpError:
            content = None
        if content is None or software_digest(content) != recorded:
            return None  # executed by another clone: its Python is not known here
        key = "training_python" if section(content, "training_python") else "python"
        told = section(content, key)
        prefix = os.path.expanduser(str(told.get("prefix", "")))
        if is_own(prefix):
            now = describe_own(self._repo)
        elif site_folders(prefix):
            now = describe(self._repo, prefix)
        else:
            return f"its Python {told.get('prefix')} is gone"
        # What only a process says of itself is not asked again.
        now["implementation"] = told.get("implementation")
        fresh = {**content, key: now, "locks": lock_digests(self._repo)}
        fresh["platform"] = read_platform()
        if software_digest(fresh) == recorded:
            return None
        return _changes(content, fresh, key)

    def _own_software(self) -> str:
        if self._own is None:
            self._own = software_digest(
                {
                    "python": describe_own(self._repo),
                    "locks": lock_digests(self._repo),
                    "platform": read_platform(),
                }
            )
        return self._own


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], key: str) -> str:
    """Return which packages and lock files are not what they were."""
    changed = []
    for group, then, present in (
        ("", section(section(before, key), "packages"), section(section(now, key), "packages")),
        ("", section(before, "locks"), section(now, "locks")),
        (
            "Python ",
            {"version": section(before, key).get("version")},
            {"version": section(now, key).get("version")},
        ),
    ):
        for name in sorted({*then, *present}):
            if then.get(name) != present.get(name):
                changed.append(group + name + _difference(then.get(name), present.get(name)))
    if not changed:
        return "system, or where packages came from, has changed"
    more = f", {len(changed) - 3} more" if len(changed) > 3 else ""
    return ", ".join(changed[:3]) + more


def _difference(then: Any, now: Any) -> str:
    if then is None or now is None:
        return " is new" if then is None else " is gone"
    is_digest = str(then).startswith("sha256:")
    return " has changed" if is_digest else f" {then} then, {now} now"


def _short(value: Any) -> str:
    text = json.dumps(value, default=str) if value is not None else "none"
    return text if len(text) <= 40 else text[:39] + "…"
