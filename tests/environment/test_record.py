"""The record of each attempt: what is in it, what adds to it, and what its digests are of."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import aexp
from aexp.environment.record import (
    edit_environment,
    merge_user_environment,
    read_environment,
    recorded_attempts,
)
from aexp.errors import ArtifactNotFound, CorruptFile, CorruptFileWarning, UsageError
from aexp.paths import Repo
from aexp.runs.store import read_run

DIGEST = "sha256:"


def path_of(research: Any, job_id: str, attempt: int = 1) -> Path:
    return Path(research.workspace(job_id)) / "environment" / f"{attempt}.json"


def recorded(research: Any, job_id: str, attempt: int = 1) -> Any:
    return json.loads(path_of(research, job_id, attempt).read_text())


def check_digests(research: Any, job_id: str) -> None:
    """Document, ledger entry and files agree."""
    attempts = research.doc(job_id)["aexp_run"]["attempts"]
    entry = research.entry(job_id)
    for attempt, projected in zip(attempts, entry["attempts"], strict=True):
        data = path_of(research, job_id, attempt["attempt"]).read_bytes()
        assert attempt["environment"]["digest"] == DIGEST + sha256(data).hexdigest()
        assert projected["environment"] == attempt["environment"]
        assert set(projected["environment"]) == {"digest", "software"}
    assert entry["environment"] == attempts[-1]["environment"]


def test_what_is_recorded(research: Any) -> None:
    (research.root / "uv.lock").write_text("version = 1\n")
    research.experiment("true")
    job_id = research.one("seed=0,x=/some/path")
    research.aexp("run-queued", job_id, env={"OMP_NUM_THREADS": "2", "MY_OWN": "x"})
    content = recorded(research, job_id)
    check_digests(research, job_id)
    assert content["job_id"] == job_id
    assert content["attempt"] == 1
    assert content["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert content["locks"] == {"uv.lock": DIGEST + sha256(b"version = 1\n").hexdigest()}
    assert content["code"]["commit"] == research.git("rev-parse", "HEAD").strip()
    assert content["code"]["dirty"] is True
    assert content["variables"]["OMP_NUM_THREADS"] == "2"
    assert "MY_OWN" in content["variables_left_out"]["not_listed"]
    assert not any(name.startswith("AEXP_CLAIM") for name in content["variables"])
    assert content["hardware"]["cores"] == os.cpu_count()
    assert content["hardware"]["memory_mb"] > 100
    assert content["gpu"]["reason"] or content["gpu"]["devices"]
    assert "slurm" not in content
    assert "problems" not in content
    text = (research.root / ".aexp" / "ledger" / f"{job_id}.json").read_text()
    assert str(research.root) not in text
    # What importlib.metadata says, which opens every package's description.
    theirs = {
        dist.name.lower().replace("_", "-").replace(".", "-"): dist.version
        for dist in metadata.distributions(path=[p for p in sys.path if "site-packages" in p])
        if dist.name
    }
    ours = content["python"]["packages"]
    assert theirs
    assert {name: ours.get(name) for name in theirs} == theirs


def test_every_attempt_has_its_own(research: Any) -> None:
    research.experiment("test $AEXP_ATTEMPT = 2", "retries: 1\n")
    job_id = research.one()
    research.aexp("run-queued", job_id)
    attempts = research.doc(job_id)["aexp_run"]["attempts"]
    assert [attempt["attempt"] for attempt in attempts] == [1, 2]
    check_digests(research, job_id)
    software = {attempt["environment"]["software"] for attempt in attempts}
    assert len(software) == 1  # the same software, though the files differ
    repo = Repo(research.root)
    assert recorded_attempts(repo, job_id) == [1, 2]
    for odd in ("x.json", "3.json.tmp", "-1.json", "٣.json"):
        (path_of(research, job_id).parent / odd).write_text("{}")
    assert recorded_attempts(repo, job_id) == [1, 2]


def test_a_users_own_facts_are_merged_and_the_digests_follow(research: Any) -> None:
    job_id = research.one()
    research.aexp("run-queued", job_id)
    before = research.entry(job_id)["environment"]
    run = aexp.run(job_id, repo_root=research.root)
    run.upload_environment({"data": {"name": "ripple", "rows": 50_000}, "token": "hunter22"})
    run.upload_environment({"data": {"rows": 60_000, "sha": "ab"}, "nan": float("nan")})
    content = recorded(research, job_id)
    assert content["user"] == {
        "data": {"name": "ripple", "rows": 60_000, "sha": "ab"},
        "nan": "NaN",
        "token": "***",
    }
    check_digests(research, job_id)
    after = research.entry(job_id)["environment"]
    assert after["digest"] != before["digest"]
    assert after["software"] == before["software"]
    repo = Repo(research.root)
    for wrong in ([1], "text", None, 3):
        with pytest.raises(UsageError, match="mapping"):
            merge_user_environment(repo, job_id, 1, wrong)  # type: ignore[arg-type]
    itself: dict[str, Any] = {}
    itself["again"] = itself
    with pytest.raises(UsageError, match="contains itself"):
        merge_user_environment(repo, job_id, 1, itself)
    with pytest.raises(UsageError, match="no attempt 7"):
        merge_user_environment(repo, job_id, 7, {"a": 1})
    with pytest.raises(UsageError, match="too large"):
        merge_user_environment(repo, job_id, 1, {"a": "x" * (33 << 20)})
    assert recorded(research, job_id) == content
    check_digests(research, job_id)


def test_odd_values_become_text(research: Any) -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd"

    class Array:
        def tolist(self) -> list[float]:
            return [1.0, float("inf")]

    job_id = research.one()
    research.aexp("run-queued", job_id)
    repo = Repo(research.root)
    values = {1: Odd(), "path": Path("/x"), "set": {2, 1}, "bytes": b"\xff", "array": Array()}
    merge_user_environment(repo, job_id, 1, values)  # type: ignore[arg-type]
    assert recorded(research, job_id)["user"] == {
        "1": "odd",
        "array": [1.0, "Infinity"],
        "bytes": "ff",
        "path": "/x",
        "set": [1, 2],
    }


def test_writers_at_once_lose_nothing(research: Any) -> None:
    code = (
        "import sys, aexp\n"
        "run = aexp.current()\n"
        "for n in range(10): run.upload_environment({sys.argv[1]: {str(n): n}})\n"
    )
    (research.root / "add.py").write_text(code)
    python = f"{sys.executable} add.py"
    research.experiment(f"{python} a & {python} b & {python} c & wait")
    job_id = research.one()
    research.aexp("run-queued", job_id)
    expected = {str(n): n for n in range(10)}
    assert recorded(research, job_id)["user"] == {"a": expected, "b": expected, "c": expected}
    check_digests(research, job_id)


def test_damaged_and_foreign_files_cost_a_warning(research: Any) -> None:
    job_id = research.one()
    research.aexp("run-queued", job_id)
    repo, path = Repo(research.root), path_of(research, job_id)
    whole = path.read_bytes()

    path.write_bytes(whole.replace(b'"attempt": 1', b'"attempt": 9'))
    shown = research.aexp("env", "show", job_id)
    assert "is not the record of attempt 1" in shown.stderr
    assert "has changed since" in shown.stderr
    foreign = {
        "python": [1, 2],
        "code": "x",
        "variables": {"A": {"b": ["\x1b[31m"]}, "OMP_NUM_THREADS": 3},
        "variables_left_out": {"secret": 4, "not_listed": [None, "\x1b]0;x\x07"]},
        "gpu": {"devices": "many"},
        "problems": {"a": 1},
        "recorded_at": "\x1b[2J",
    }
    path.write_text(json.dumps(foreign))
    shown = research.aexp("env", "show", job_id, "--packages")
    assert "\x1b" not in shown.stdout
    assert research.aexp("env", "diff", job_id, job_id).returncode == 0
    research.aexp("env", "shell", job_id, "--", "true")

    for data in (b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(data)
        if data == b"[1]":
            for verb, *more in (["show"], ["diff", job_id], ["shell", "--", "true"]):
                done = research.aexp("env", verb, job_id, *more, rc=2 if verb == "diff" else 1)
                assert "1.json" in done.stderr
                assert "Traceback" not in done.stderr
        with pytest.raises(CorruptFile):
            read_environment(repo, read_run(repo, job_id))
        with pytest.warns(CorruptFileWarning, match="1.damaged"):
            merge_user_environment(repo, job_id, 1, {"a": 1})
        assert recorded(research, job_id)["user"] == {"a": 1}
        assert path.with_name("1.damaged").read_bytes() == data
        check_digests(research, job_id)
    # Whatever lies there, the other verbs do not mind.
    path.write_text("{")
    for arguments in (["list-runs"], ["show-run", job_id], ["ledger", "verify"], ["reconcile"]):
        research.aexp(*arguments)
    path.unlink()
    with pytest.raises(ArtifactNotFound, match="no recorded environment here"):
        read_environment(repo, read_run(repo, job_id))
    path.mkdir()
    with pytest.raises(CorruptFile):
        read_environment(repo, read_run(repo, job_id))


def test_a_run_goes_on_without_the_record(research: Any) -> None:
    research.experiment("true")
    first, second = research.add("seed=0..1")
    (research.workspace(first) / "environment").write_text("in the way")
    done = research.aexp("run-queued", first)
    assert "the environment was not recorded" in done.stderr
    assert research.status(first) == "complete"
    assert "environment" not in research.entry(first)
    research.aexp("run-queued", second, env={"AEXP_ENVIRONMENT": "off"})
    assert research.status(second) == "complete"
    assert not (research.workspace(second) / "environment").exists()
    done = research.aexp("env", "show", second, rc=1)
    assert "has no recorded environment here" in done.stderr


def test_the_python_of_the_command_when_it_is_another_one(research: Any, tmp_path: Path) -> None:
    place = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    site = next(place.glob("lib/python3*/site-packages"))
    (site / "their_package-2.5+cu121.dist-info").mkdir()
    (site / "their_package-2.5+cu121.dist-info" / "METADATA").write_text("Name: their_package\n")
    (site / "aexp.pth").write_text(str(Path(aexp.__file__).parents[1]) + "\n")
    (research.root / "plain.py").write_text("print('plain')\n")
    (research.root / "handle.py").write_text("import aexp\naexp.current().log({'a': 1})\n")
    (place / "bin" / "tool").write_text(f"#!{place}/bin/python3\nprint('tool')\n")
    (place / "bin" / "tool").chmod(0o755)
    search = {"PATH": f"{place}/bin{os.pathsep}{os.environ['PATH']}"}
    told = {}
    for seed, command in enumerate(
        ("python plain.py", "tool --x 1", f"{place}/bin/python handle.py", "exec python3 handle.py")
    ):
        research.experiment(command)
        job_id = research.one(f"seed={seed}")
        research.aexp("run-queued", job_id, env=search)
        python = recorded(research, job_id)["training_python"]
        assert python["prefix"].endswith("/other")
        assert python["packages"]["their-package"] == "2.5+cu121"
        assert "signac" not in python["packages"]
        told[command] = python["told_by"]
        check_digests(research, job_id)
    assert list(told.values()) == ["command", "command", "process", "process"]
    # The same Python, whatever it is called: nothing to add.
    research.experiment(f"{sys.executable} plain.py")
    job_id = research.one("seed=9")
    research.aexp("run-queued", job_id)
    assert "training_python" not in recorded(research, job_id)


def test_an_edit_that_fails_leaves_everything_as_it_was(research: Any) -> None:
    job_id = research.one()
    research.aexp("run-queued", job_id)
    before = research.tree()

    def edit(content: dict[str, Any]) -> None:
        content["user"] = {"x": object()}

    with pytest.raises(UsageError, match="cannot be written"):
        edit_environment(Repo(research.root), job_id, 1, edit)
    assert research.tree() == before
