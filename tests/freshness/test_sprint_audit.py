"""aexp sprint-audit: all projects of a machine, each with its own runs; few runs never alarm."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from aexp.errors import AexpError
from aexp.model import utc_at, utc_now
from aexp.registry import is_registered, read_registry, register, registry_path

Bench = Any


def recent(bench: Bench, name: str, **fields: Any) -> str:
    return str(bench.entry(name, ended_at=fields.pop("ended_at", utc_now()), **fields))


def audit(bench: Bench, *arguments: str, rc: int = 0) -> dict[str, Any]:
    """Audit; return what is said of each project by its folder's name."""
    found = bench.json("sprint-audit", *arguments, rc=rc)
    return {os.path.basename(project["root"]): project for project in found["projects"]}


def second(bench: Bench, name: str) -> Any:
    """Set another repository up on this machine."""
    root = bench.root.parent / name
    root.mkdir()
    other = type(bench)(type(bench.research)(root))
    other.git("init", "-q")
    other.cli("install", "--yes")
    return other


def test_each_project_is_charged_with_its_own_runs(bench: Bench) -> None:
    bench.cli("install", "--yes")
    other = second(bench, "other")
    for number in range(12):
        recent(bench, f"bad {number}", status="failed")
    recent(bench, "old", status="failed", ended_at=utc_at(0))
    recent(bench, "of another project", project="elsewhere")
    for number in range(3):
        recent(other, f"good {number}")
    found = audit(bench)
    assert {name: project["runs"] for name, project in found.items()} == {
        "research": 12,
        "other": 3,
    }
    assert [remark["kind"] for remark in found["research"]["remarks"]] == ["failed"]
    assert found["research"]["alarms"] == 1
    assert found["other"]["alarms"] == 0
    assert audit(bench, "--hours", "999999")["research"]["statuses"] == {"failed": 13}
    audit(bench, "--strict", rc=1)
    text = bench.cli("sprint-audit")
    assert "research: 12 runs, 0 campaigns since" in text
    assert "alarm: 12 of 12 runs are failed" in text
    assert "other: 3 runs" in text


def test_few_runs_never_alarm_and_many_do(bench: Bench) -> None:
    bench.cli("install", "--yes")
    recent(bench, "one", outcome="else", outcome_residual=True, sidecar_mode="declared")
    recent(bench, "two", sidecar_mode="bypassed", status="failed")
    found = audit(bench, "--strict")["research"]
    assert found["rates"]["residual"]["share"] == 1.0
    assert found["rates"]["failed"]["share"] == 0.5
    assert found["alarms"] == 0
    assert "few runs" in bench.cli("sprint-audit", "--strict")
    files = [{"path": "step.sh", "sha256": "0" * 64, "size": 1}]
    for number in range(20):
        recent(bench, f"stale {number}", code_files=files, code_dirty=True)
    found = audit(bench, "--strict", rc=1)["research"]
    assert {remark["kind"] for remark in found["remarks"] if remark["severity"] == "alarm"} == {
        "stale", "dirty"
    }  # fmt: skip


def test_campaigns_are_judged_by_themselves(bench: Bench) -> None:
    bench.cli("install", "--yes")
    bench.cli("campaign", "create", "night")
    bad = [recent(bench, f"bad {number}", status="failed") for number in range(8)]
    bench.cli("campaign", "add", *bad, "--campaign", "night")
    for number in range(200):
        recent(bench, f"good {number}")
    found = audit(bench)["research"]
    groups = {group["campaign"]: group for group in found["campaigns"]}
    assert {name: group["runs"] for name, group in groups.items()} == {"night": 8, None: 200}
    assert [remark["severity"] for remark in groups["night"]["remarks"]] == ["alarm"]
    assert groups[None]["remarks"] == found["remarks"] == []
    assert "  night: 8 runs\n    alarm: 8 of 8 runs are failed" in bench.cli("sprint-audit")


def test_two_clones_of_one_project_count_a_run_once(bench: Bench) -> None:
    bench.cli("install", "--yes")
    run = bench.run("seed=0")
    name = f"{bench.root.parent}/a clone"  # before the first in order
    bench.git("clone", "-q", str(bench.root), name)
    clone = type(bench)(type(bench.research)(Path(name)))
    clone.cli("install", "--yes")
    entry = (bench.root / ".aexp" / "ledger" / f"{run}.json").read_bytes()
    (clone.root / ".aexp" / "ledger").mkdir(exist_ok=True)
    (clone.root / ".aexp" / "ledger" / f"{run}.json").write_bytes(entry)
    found = audit(bench)
    assert (found["research"]["runs"], found["research"]["counted_elsewhere"]) == (1, 0)
    assert (found["a clone"]["runs"], found["a clone"]["counted_elsewhere"]) == (0, 1)


def test_projects_that_are_gone_or_damaged_are_warnings(bench: Bench) -> None:
    import shutil

    bench.cli("install", "--yes")
    recent(bench, "good")
    gone, empty, damaged = (second(bench, name) for name in ("gone", "empty", "damaged"))
    shutil.rmtree(gone.root)
    (empty.root / ".aexp" / "installed.json").unlink()
    (damaged.root / ".aexp" / "installed.json").write_text("{")
    other = second(bench, "half")
    recent(other, "good, too")  # with one id and one end, it would be one run in two clones
    (other.root / ".aexp" / "ledger" / ("0" * 32 + ".json")).write_text("{")
    found = bench.json("sprint-audit", "--strict")
    assert {os.path.basename(p["root"]): p["runs"] for p in found["projects"]} == {
        "research": 1, "half": 1
    }  # fmt: skip
    assert len(found["warnings"]) == 3
    assert "is not there" in bench.stderr
    assert "is not set up any more" in bench.stderr
    assert "installed.json is not valid JSON" in bench.stderr
    assert f"{'0' * 32}.json" in bench.stderr


def test_the_registry_is_written_by_install_alone(bench: Bench) -> None:
    bench.cli("sprint-audit")
    assert "no project is set up on this machine" in bench.stderr
    bench.cli("install", "--yes", "--dry-run")
    assert not os.path.exists(os.path.dirname(registry_path()))
    assert "registered" in bench.cli("install", "--yes")
    before = Path(registry_path()).read_bytes(), os.stat(registry_path()).st_mtime_ns
    run = bench.run("seed=0")
    for verb in (("check",), ("lineage", run), ("sprint-audit",), ("ls",), ("show", run)):
        bench.cli(*verb)
    assert "already installed" in bench.cli("install", "--yes")
    assert (Path(registry_path()).read_bytes(), os.stat(registry_path()).st_mtime_ns) == before
    assert os.stat(registry_path()).st_mode & 0o077 == 0
    assert json.loads(before[0])["projects"].keys() == {str(bench.root)}


def test_a_registry_that_cannot_be_used_stops_nothing_but_the_audit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = Path(registry_path())
    path.parent.mkdir(parents=True)
    for text in ("{", "[]", '{"projects": []}'):
        path.write_text(text)
        assert "not_registered" in bench.cli("install", "--yes")
        assert path.read_text() == text  # never written over
        bench.cli("sprint-audit", rc=1)
        assert "move" in bench.stderr
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    assert "not_registered" in bench.cli("install", "--yes")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")  # which its specification says to ignore
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert registry_path() == str(tmp_path / "home" / ".config" / "aexp" / "projects.json")
    bench.cli("install", "--yes")
    assert is_registered(str(bench.root))


def test_many_installs_at_once_lose_no_project(bench: Bench, tmp_path: Path) -> None:
    roots = [tmp_path / f"project {number}" for number in range(16)]
    faults: list[AexpError] = []

    def add(root: Path) -> None:
        root.mkdir()
        try:
            register(str(root))
        except AexpError as error:
            faults.append(error)

    threads = [threading.Thread(target=add, args=(root,)) for root in roots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert {project.root for project in read_registry()} == {str(root) for root in roots}


def test_hours_are_a_positive_number(bench: Bench) -> None:
    for value in ("0", "-1", "x", "nan"):
        bench.cli("sprint-audit", "--hours", value, rc=2)
        assert "--hours" in bench.stderr, value
