"""`aexp ledger verify`: each problem is produced once, named with its mend, and cleared by it."""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from aexp.files import pretty_json


@pytest.fixture
def ended(research: Any) -> str:
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    assert verify(research)["problems"] == []
    return str(job_id)


def path_of(research: Any, job_id: str) -> Path:
    return Path(research.root / ".aexp" / "ledger" / f"{job_id}.json")


def verify(research: Any, rc: int = 0, *words: str) -> Any:
    return research.json("ledger", "verify", *words, rc=rc)


def change(research: Any, run_id: str, /, **fields: Any) -> None:
    entry = research.entry(run_id)
    entry.update(fields)
    kept = {key: value for key, value in entry.items() if value is not ...}
    path_of(research, run_id).write_bytes(pretty_json(kept))


def test_a_ledger_without_problems(research: Any, ended: str) -> None:
    done = research.aexp("ledger", "verify")
    assert done.stdout == "1 entries\nOK\n"
    assert verify(research)["elsewhere"] == []


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"status": "queued"}, "entry.schema", "status"),
        ({"status": ["complete"]}, "entry.schema", "status"),
        ({"promoted_at": ...}, "entry.schema", "promoted_at is missing"),
        ({"promoted_at": "yesterday"}, "entry.schema", "promoted_at"),
        ({"schema_version": "1"}, "entry.schema", "schema_version"),
        ({"schema_version": True}, "entry.schema", "schema_version"),
        ({"registered_machine": "../x"}, "entry.schema", "registered_machine"),
        ({"ended_at": 7}, "entry.schema", "ended_at"),
        ({"attempts": [1]}, "entry.schema", "attempts"),
        ({"after": ["x"]}, "entry.schema", "after"),
        ({"job_id": "f" * 32}, "entry.name", "ffffffff"),
        ({"statepoint": {"seed": 99}}, "entry.identity", "state point"),
        ({"code_commit": "0" * 40}, "entry.identity", "code_commit"),
        ({"status": "failed"}, "entry.differs", "status"),
        ({"metrics": {"accuracy": 0.99}}, "entry.differs", "metrics"),
        ({"wallclock_s": 1e6, "returncode": 3}, "entry.differs", "returncode, wallclock_s"),
    ],
)
def test_an_entry_that_was_tampered_with(
    research: Any, ended: str, fields: Any, code: str, words: str
) -> None:
    change(research, ended, **fields)
    (problem,) = verify(research, 1)["problems"]
    assert (problem["code"], problem["severity"]) == (code, "error")
    assert words in problem["message"]
    assert problem["path"] == f".aexp/ledger/{ended}.json"
    shown = research.aexp("ledger", "verify", rc=1).stdout
    assert f"ERROR {code} [.aexp/ledger/{ended}.json]" in shown
    assert "FAILED 1 error(s)" in shown
    mend = shlex.split(problem["mend"].split(" where ")[0])
    research.aexp(*mend[1:])
    assert verify(research)["problems"] == []


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff", "[" * 50_000], ids=range(5))
def test_an_entry_that_cannot_be_read(research: Any, ended: str, text: str) -> None:
    path_of(research, ended).write_bytes(text.encode("utf-8", "surrogateescape"))
    (problem,) = verify(research, 1)["problems"]
    assert problem["code"] == "entry.unreadable"
    research.aexp("ledger", "promote", ended)
    assert verify(research)["problems"] == []


def test_a_conflict_is_for_a_person_to_decide(research: Any, ended: str) -> None:
    ours = path_of(research, ended).read_text()
    conflict = f"<<<<<<< ours\n{ours}=======\n{ours}>>>>>>> theirs\n"
    path_of(research, ended).write_text(conflict)
    (problem,) = verify(research, 1)["problems"]
    assert problem["code"] == "entry.unreadable"
    assert "git checkout --theirs" in problem["mend"]
    research.aexp("ledger", "promote", ended, rc=1)
    assert path_of(research, ended).read_text() == conflict


def test_links_and_folders_are_no_entries(research: Any, ended: str) -> None:
    path_of(research, "e" * 32).symlink_to(path_of(research, ended))
    path_of(research, "d" * 32).mkdir()
    problems = verify(research, 1)["problems"]
    assert [p["code"] for p in problems] == ["entry.unreadable"] * 2


def test_files_that_do_not_belong_there(research: Any, ended: str) -> None:
    folder = path_of(research, ended).parent
    (folder / "README.md").write_text("mine")
    assert [(p["code"], p["severity"]) for p in verify(research)["problems"]] == [
        ("entry.name", "warning")
    ]
    (folder / "README.md").unlink()
    (folder / "notes\n\x1b[31m.json").write_text("{}")
    shown = research.aexp("ledger", "verify", rc=1).stdout
    assert "\x1b" not in shown
    assert "ERROR entry.name" in shown
    (folder / ".x.json.1-2.tmp").write_text("half")


def test_a_newer_schema_is_a_warning_and_kept(research: Any, ended: str) -> None:
    change(research, ended, schema_version=2, novelty={"a": [1]})
    (problem,) = verify(research)["problems"]
    assert (problem["code"], problem["severity"]) == ("entry.version", "warning")
    assert research.entry(ended)["novelty"] == {"a": [1]}


def test_layout_alone_is_a_warning_that_fix_mends(research: Any, ended: str) -> None:
    path = path_of(research, ended)
    before = path.read_bytes()
    path.write_text(json.dumps(research.entry(ended)))
    (problem,) = verify(research)["problems"]
    assert (problem["code"], problem["severity"]) == ("entry.not_canonical", "warning")
    assert problem["mend"] == "aexp ledger verify --fix"
    assert verify(research, 0, "--fix")["mended"] == [f".aexp/ledger/{ended}.json"]
    assert path.read_bytes() == before


def test_fix_touches_nothing_else(research: Any, ended: str) -> None:
    change(research, ended, status="failed")
    before = path_of(research, ended).read_bytes()
    assert verify(research, 1, "--fix")["mended"] == []
    assert path_of(research, ended).read_bytes() == before


def test_an_ended_run_without_entry(research: Any, ended: str) -> None:
    path_of(research, ended).unlink()
    (problem,) = verify(research, 1)["problems"]
    assert (problem["code"], problem["mend"]) == ("run.no_entry", "aexp ledger backfill")
    research.aexp(*problem["mend"].split()[1:])
    assert verify(research)["problems"] == []


def test_an_entry_that_another_tool_wrote_knows_less(research: Any, ended: str) -> None:
    change(research, ended, ended_at=..., aexp_version=..., attempts=...)
    (problem,) = verify(research)["problems"]
    assert (problem["code"], problem["severity"]) == ("entry.incomplete", "warning")
    assert "aexp_version, attempts, ended_at" in problem["message"]
    research.aexp(*problem["mend"].split()[1:])
    assert verify(research)["problems"] == []


def test_queued_runs_need_none(research: Any, ended: str) -> None:
    research.one("seed=1")
    research.aexp("queue", "retry", ended)
    assert verify(research)["problems"] == []


def test_another_machines_later_record_is_a_remark(research: Any, ended: str) -> None:
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    change(research, ended, registered_machine="cluster", ended_at=soon)
    before = path_of(research, ended).read_bytes()
    (problem,) = verify(research)["problems"]
    assert (problem["code"], problem["severity"]) == ("entry.elsewhere", "info")
    research.aexp("ledger", "backfill", "--overwrite")
    research.aexp("reconcile")
    assert path_of(research, ended).read_bytes() == before


def test_an_earlier_record_of_another_machine_is_superseded(research: Any, ended: str) -> None:
    change(research, ended, registered_machine="cluster", ended_at="2000-01-01T00:00:00Z")
    (problem,) = verify(research, 1)["problems"]
    assert problem["code"] == "entry.differs"
    research.aexp("ledger", "backfill", "--overwrite")
    assert verify(research)["problems"] == []


def test_a_clone_with_only_the_ledger(research: Any, ended: str, tmp_path: Path) -> None:
    research.git("add", "-f", ".aexp/ledger")
    research.git("commit", "-qm", "ledger")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(research.root), str(clone)], check=True)
    assert not os.path.exists(clone / ".runs" / "workspace")
    reader = type(research)(clone)
    found = verify(reader)
    assert (found["entries"], found["elsewhere"], found["problems"]) == (1, [ended], [])
    assert "1 of them of runs in other stores" in reader.aexp("ledger", "verify").stdout


def test_every_code_is_documented(research: Any) -> None:
    root = Path(__file__).parents[2]
    source = (root / "aexp" / "sharing" / "verify.py").read_text()
    codes = set(re.findall(r'Problem\(\s*"([\w.]+)"', source))
    page = (root / "docs" / "machines.md").read_text()
    assert codes == set(re.findall(r"^\| `((?:entry|run|folder)\.\w+)`", page, re.MULTILINE))


@pytest.mark.parametrize(("days", "found"), [(0.9, []), (1.1, ["entry.future"])])
def test_an_end_that_is_to_come(research: Any, ended: str, days: float, found: list[str]) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + days * 86_400))
    change(research, ended, ended_at=stamp)
    path = research.workspace(ended)
    for name in path.iterdir():
        name.unlink() if name.is_file() else shutil.rmtree(name)
    path.rmdir()
    problems = verify(research)["problems"]
    assert [problem["code"] for problem in problems] == found
    assert {problem["severity"] for problem in problems} <= {"warning"}
