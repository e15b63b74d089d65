"""What an attempt records of its files: code and inputs before its command, outputs after it."""

import os
import re
from collections.abc import Callable
from typing import Any

from aexp.environment.digest import digest
from aexp.errors import AexpError, ParameterError
from aexp.footprint.digests import Cancelled, Digests, FileFact, list_digest
from aexp.footprint.patterns import expand, render
from aexp.git import run_git
from aexp.kb.declared_files import DeclaredFiles, read_declared_files
from aexp.kb.runner import Runner
from aexp.ledger.entries import load_ledger_entry
from aexp.ledger.footprint import MAX_NAMED, is_inside
from aexp.model import Run, section
from aexp.paths import Repo
from aexp.runs.store import read_run

_WORDS = re.compile(r"[^\s;&|()<>\"'`]+")
_MAX_WORDS = 200
# What is code by its name, whether or not git has it by now: half of the scripts are never added.
_SCRIPT = re.compile(r"(?!\.).+\.(?:py|sh|bash|slurm|sbatch|r|jl|pl|lua|m)", re.IGNORECASE)
_MODULE = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)


class Footprint:
    """The files of one attempt.

    Parameters
    ----------
    repo : Repo
        The repository.
    run : Run
        The run, as it is about to execute.
    runner : Runner or None
        Its experiment's, as it was read for this attempt.
    cancelled : callable, optional
        Whether this process is wanted to end: then nothing more is read.
    """

    def __init__(
        self,
        repo: Repo,
        run: Run,
        runner: Runner | None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._repo = repo
        self._run = run
        self._cancelled = cancelled
        self._problems: list[str] = []
        self._declared = self._all_declared(runner)
        self._record: dict[str, Any] = {}
        self._template = runner_digest(runner.command, runner.prelude) if runner else None

    def begin(self, command: str | None, cwd: str | None = None) -> dict[str, Any] | None:
        """Return code and inputs as they are now; None when the run has none and says none.

        `cwd` is the folder in which `command` is executed, default the repository.
        """
        declared = self._declared
        code, inputs = self._render(declared.code or ()), self._render(declared.inputs)
        outputs = self._render(declared.outputs)
        if declared.code is None:
            code = self._command_files(command, cwd or self._repo.root)
        upstream = self._upstream()
        if not (code or inputs or outputs or upstream or not declared.is_empty):
            return None
        if self._template is not None and self._run.queue.get("runner_command_override") is None:
            self._record["runner"] = self._template
        named = {"code": code, "inputs": inputs, "outputs": outputs}
        self._record["declared"] = {key: items for key, items in named.items() if items}
        if upstream:
            self._record["upstream"] = upstream
        for key, patterns in (("code", code), ("inputs", inputs)):
            if patterns:
                self._add(key, patterns)
        return self._content()

    def end(self) -> dict[str, Any] | None:
        """Return the record with the outputs as they are now."""
        patterns = section(self._record, "declared").get("outputs")
        if patterns:
            self._add("outputs", patterns)
        return self._content() if self._record else None

    def _content(self) -> dict[str, Any]:
        problems = {"problems": self._problems[:20]} if self._problems else {}
        return {**self._record, **problems}

    def _add(self, key: str, patterns: list[str]) -> None:
        try:
            files = Digests(self._repo, self._cancelled).of_all(expand(self._repo, patterns))
            self._record[key] = recorded(files)
        except Cancelled:
            self._problems.append(f"{key}: not read, the run was being ended")
        except AexpError as error:
            self._problems.append(f"{key}: {error.message}")
        except OSError as error:
            name = os.path.relpath(error.filename, self._repo.root) if error.filename else key
            self._problems.append(f"{key}: {name}: {error.strerror or error}")

    def _all_declared(self, runner: Runner | None) -> DeclaredFiles:
        """Return what the experiment declares, and what was said for this run alone."""
        shared = runner.files if runner is not None else DeclaredFiles()
        try:
            own = read_declared_files(section(self._run.record, "declared"))
        except ParameterError as error:
            self._problems.append(error.message)
            return shared
        code = shared.code if own.code is None else (*(shared.code or ()), *own.code)
        return DeclaredFiles(code, shared.inputs + own.inputs, shared.outputs + own.outputs)

    def _render(self, patterns: tuple[str, ...]) -> list[str]:
        found = []
        for pattern in patterns:
            try:
                found += render(self._repo, [pattern], self._run.sp, self._run.job_id)
            except ParameterError as error:
                self._problems.append(error.message)
        return list(dict.fromkeys(found))

    def _command_files(self, command: str | None, cwd: str) -> list[str]:
        """Return the files that a command names and that are its code, if none is told.

        That is what git has, and scripts: of other files nobody knows whether they are results.
        """
        candidates: list[str] = []
        words = _WORDS.findall(command or "")[:_MAX_WORDS]
        for before, word in zip(["", *words], words, strict=False):
            candidates.append(word)
            if before == "-m" and _MODULE.fullmatch(word):
                candidates += _module_files(word)
        relative = [
            os.path.relpath(os.path.join(cwd, word), self._repo.root) for word in candidates
        ]
        there = [
            path
            for path in dict.fromkeys(relative)
            if is_inside(path) and path.isprintable() and os.path.isfile(self._repo.at(path))
        ]
        if not there:
            return []
        try:
            tracked = set(run_git(self._repo, "ls-files", "-z", "--", *there).names)
        except AexpError as error:
            self._problems.append(f"code: {error.message}")
            return []
        code = [path for path in there if path in tracked or _SCRIPT.fullmatch(path)]
        # They are names, not patterns.
        return [re.sub(r"[*?[]", lambda m: f"[{m[0]}]", path) for path in code]

    def _upstream(self) -> list[dict[str, Any]]:
        """Return the runs that this one stands on, each with the end that it had just now."""
        record = self._run.record
        others = record.get("derived_from")
        parents = [*self._run.after, *(others if isinstance(others, list) else [])]
        return [
            {"job_id": parent, "ended_at": end_of(self._repo, parent)}
            for parent in dict.fromkeys(item for item in parents if isinstance(item, str))
        ]


def runner_digest(command: str | None, prelude: str | None) -> str:
    """Return the digest of an experiment's command and prelude, before values are inserted."""
    return digest(f"{command or ''}\0{prelude or ''}".encode("utf-8", "surrogatepass"))


def end_of(repo: Repo, job_id: str) -> str | None:
    """Return when a run ended, by its document or its ledger entry."""
    try:
        run = read_run(repo, job_id)
        value = run.doc.get("ended_at") if run.is_terminal else None
    except AexpError:
        try:
            value = (load_ledger_entry(repo, job_id, quiet=True) or {}).get("ended_at")
        except AexpError:
            value = None
    return value if isinstance(value, str) else None


def recorded(files: list[FileFact]) -> Any:
    """Return files as they are recorded: by name, or, when they are many, one digest."""
    if len(files) <= MAX_NAMED:
        return [fact.record() for fact in files]
    return {
        "count": len(files),
        "size": sum(fact.size for fact in files),
        "digest": list_digest(files),
    }


def _module_files(name: str) -> list[str]:
    stem = name.replace(".", os.sep)
    ends = (".py", os.sep + "__main__.py")
    return [folder + stem + end for folder in ("", "src" + os.sep) for end in ends]
