"""Does an adapter keep the contract? A list of checks that any adapter, ours or yours, can run.

In a test of your own::

    from aexp.trackers.conformance import check_adapter

    def test_it_keeps_the_contract(tmp_path):
        results = check_adapter(MyAdapter, tmp_path)
        assert [result for result in results if not result.ok] == []
"""

import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aexp.errors import AexpError
from aexp.trackers.binding import binding_of
from aexp.trackers.contract import (
    OfflineRun,
    RunHandle,
    RunRecord,
    TrackerAdapter,
    call_supported,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_GROUP = "H001/E001/conformance"
_CONFIG = {
    "job_id": "0123456789abcdef0123456789abcdef",
    "lr": 0.1,
    "layers": [1, 2],
    "nested": {"text": 'ünïcode, "quotes" and a\nline break', "none": None, "flag": True},
    "aexp": {"experiment_id": "E001", "hypothesis_id": "H001"},
    "frame": {"experiment_title": "Conformance"},
}


class CheckResult(NamedTuple):
    """One check of an adapter.

    Attributes
    ----------
    name : str
        What was checked.
    ok : bool
        Whether it holds.
    message : str
        What was found instead.
    """

    name: str
    ok: bool
    message: str = ""


def check_adapter(
    factory: Callable[[], TrackerAdapter],
    folder: str | Path,
    *,
    online: bool = False,
    project: str = "aexp-conformance",
) -> list[CheckResult]:
    """Check an adapter against the contract, with runs that it really opens.

    Parameters
    ----------
    factory : callable
        Returns a new adapter: its class, mostly.
    folder : str or Path
        An empty folder, in the place of a run's.
    online : bool, default False
        Use the tracker's service, too, and ask it for the runs afterwards.
    project : str
        The project of the runs.

    Returns
    -------
    list of CheckResult
        In a fixed order. After a failed check the ones that stand on it are left out.
    """
    return _Suite(factory, Path(folder), online, project).results()


class _Suite:
    """One pass of the checks."""

    def __init__(
        self, factory: Callable[[], TrackerAdapter], folder: Path, online: bool, project: str
    ) -> None:
        self.factory = factory
        self.folder = folder
        self.offline = not online
        self.project = project
        self.run_id = f"conformance-{os.urandom(4).hex()}"

    def results(self) -> list[CheckResult]:
        found: list[CheckResult] = []
        for name, check, is_needed in (
            ("it can be made, twice, by its factory", self._make, True),
            ("it has a name and is a TrackerAdapter", self._named, True),
            ("environment returns texts by name", self._environment, False),
            ("init_run opens a run and returns its handle", self._open, True),
            ("the handle has an id", self._id, True),
            ("log takes numbers, with and without a step", self._log, False),
            ("log takes NaN and infinities", self._log_special, False),
            ("log_artifact takes a file", self._artifact, False),
            ("a missing artifact is an exception at most", self._missing, False),
            ("summarize takes the final numbers", self._summarize, False),
            ("finish ends the run", self._finish, True),
            ("all local files lie in the run's folder", self._places, False),
            ("the same id continues the run", self._again, False),
            ("a failed run can be finished", self._fail, False),
            ("find_offline returns offline runs of the folder", self._offline_runs, False),
            ("list_runs finds runs by group", self._list, False),
        ):
            if check == self._list and self.offline:
                continue  # what the service knows is asked online only
            try:
                message = check()
            except Exception as error:
                words = error.message if isinstance(error, AexpError) else str(error)
                hint = getattr(error, "hint", None)
                message = f"{type(error).__name__}: {words}" + (f"; {hint}" if hint else "")
            found.append(CheckResult(name, not message, message or ""))
            if message and is_needed:
                break
        return found

    def _make(self) -> str | None:
        self.factory()
        self.adapter = self.factory()
        return None

    def _named(self) -> str | None:
        if not isinstance(self.adapter, TrackerAdapter):
            return f"{type(self.adapter).__name__} is no subclass of aexp.trackers.TrackerAdapter"
        if not _NAME.fullmatch(self.adapter.name):
            return f"its name is {self.adapter.name!r}"
        return None

    def _environment(self) -> str | None:
        binding = binding_of(self.adapter.name, self.run_id, None, self.project, _GROUP)
        found = call_supported(
            self.adapter.environment,
            binding,
            workspace=self.folder,
            offline=self.offline,
            tags=["kind=experiment"],
        )
        if not isinstance(found, dict):
            return f"it returned {type(found).__name__}"
        wrong = [k for k, v in found.items() if not (isinstance(k, str) and isinstance(v, str))]
        return f"{wrong[0]!r} is no text" if wrong else None

    def _init(self, run_id: str) -> RunHandle:
        handle: RunHandle = call_supported(
            self.adapter.init_run,
            project=self.project,
            group=_GROUP,
            tags=["kind=experiment", "H001", "E001", "condition=conformance"],
            config=_CONFIG,
            notes="# Conformance\n\n**Hypothesis:** it holds.",
            offline=self.offline,
            workspace=self.folder,
            run_id=run_id,
            name="conformance",
        )
        return handle

    def _open(self) -> str | None:
        self.before = set(_entries(Path.cwd()))
        self.handle = self._init(self.run_id)
        if not isinstance(self.handle, RunHandle):
            return f"it returned {type(self.handle).__name__}"
        if self.handle.backend != self.adapter.name:
            return f"the handle's backend is {self.handle.backend!r}"
        if not (self.handle.url is None or isinstance(self.handle.url, str)):
            return f"the handle's url is {self.handle.url!r}"
        if not isinstance(self.handle.extra, dict):
            return f"the handle's extra is {type(self.handle.extra).__name__}"
        return None

    def _id(self) -> str | None:
        if not isinstance(self.handle.id, str) or not self.handle.id:
            return f"the handle's id is {self.handle.id!r}"
        return None

    def _log(self) -> str | None:
        for step in range(3):
            rows = {"loss": 1.0 / (step + 1), "epoch": step, "nested.name": True}
            call_supported(self.adapter.log, self.handle, rows, step=step)
        call_supported(self.adapter.log, self.handle, {"loss": 0.25})
        return None

    def _log_special(self) -> str | None:
        special = {"a": math.nan, "b": math.inf, "c": -math.inf}
        call_supported(self.adapter.log, self.handle, special, step=10)
        return None

    def _artifact(self) -> str | None:
        path = self.folder / "artifact.txt"
        path.write_text("an artifact\n")
        self.adapter.log_artifact(self.handle, "artifact", path)
        return None

    def _missing(self) -> str | None:
        try:
            self.adapter.log_artifact(self.handle, "missing", self.folder / "no such file")
        except Exception:
            return None
        return None

    def _summarize(self) -> str | None:
        call_supported(self.adapter.summarize, self.handle, {"loss": 0.125})
        return None

    def _finish(self) -> str | None:
        call_supported(self.adapter.finish, self.handle, exit_code=0)
        return None

    def _places(self) -> str | None:
        new = sorted(set(_entries(Path.cwd())) - self.before)
        inside = self.folder.resolve()
        new = [name for name in new if not (Path.cwd() / name).resolve().is_relative_to(inside)]
        return f"in the current folder there is now {new[0]}" if new else None

    def _again(self) -> str | None:
        handle = self._init(self.handle.id)
        call_supported(self.adapter.log, handle, {"loss": 0.1}, step=11)
        call_supported(self.adapter.finish, handle, exit_code=0)
        if handle.id != self.handle.id:
            return f"{self.handle.id} was opened again as {handle.id}"
        return None

    def _fail(self) -> str | None:
        handle = self._init(self.run_id + "-2")
        call_supported(self.adapter.log, handle, {"loss": 1.0}, step=0)
        call_supported(self.adapter.finish, handle, exit_code=1)
        return None

    def _offline_runs(self) -> str | None:
        found = self.adapter.find_offline(self.folder)
        if self.offline and type(self.adapter).sync is not TrackerAdapter.sync and not found:
            return "it has sync, but found none of the offline runs"
        for one in found:
            if not isinstance(one, OfflineRun):
                return f"it returned {type(one).__name__}"
            if one.backend != self.adapter.name:
                return f"the backend of {one.path} is {one.backend!r}"
            if not Path(one.path).exists():
                return f"there is no {one.path}"
        return None

    def _list(self) -> str | None:
        found = self.adapter.list_runs(project=self.project, group_prefix="H001/")
        if not all(isinstance(one, RunRecord) for one in found):
            return "it returned something else than RunRecords"
        mine = [one for one in found if one.id == self.handle.id]
        if len(mine) != 1:
            return f"the run {self.handle.id} is there {len(mine)} times, not once"
        if mine[0].group != _GROUP:
            return f"the run's group is {mine[0].group!r}"
        others = self.adapter.list_runs(project=self.project, group_prefix="H999/")
        return "a group that does not exist has runs" if others else None


def _entries(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry.name


def summary(results: list[CheckResult]) -> dict[str, Any]:
    """Return results as programs read them."""
    return {
        "ok": all(result.ok for result in results),
        "checks": [result._asdict() for result in results],
    }
