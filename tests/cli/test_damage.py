"""Damaged and unwritable files: a named warning and exactly that record, never the command."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCUMENT, STATEPOINT = "signac_job_document.json", "signac_statepoint.json"

SCANS = [
    ("queue", "list"),
    ("list-runs",),
    ("status",),
    ("queue", "run", "--dry-run"),
    ("queue", "materialize", "-o", "-"),
    ("queue", "add", "--experiment", "E001", "--sweep", "condition=cls,seed=0..1", "--dry-run"),
    ("queue", "clear", "--dry-run"),
    ("ledger", "backfill", "--dry-run"),
    ("reconcile", "--dry-run"),
]


@pytest.mark.parametrize("arguments", SCANS, ids=" ".join)
@pytest.mark.parametrize("name", [DOCUMENT, STATEPOINT])
def test_one_corrupt_file_costs_a_warning_and_itself(
    research: Any, arguments: tuple[str, ...], name: str
) -> None:
    ids = research.add("condition=full,seed=0..3")
    research.aexp("run-queued", ids[0])
    # As after a crash of the disk. The word is there for scans that look for it first.
    (research.workspace(ids[1]) / name).write_text('{"status": "queued"')
    done = research.aexp(*arguments)
    lines = [line for line in done.stderr.splitlines() if line.startswith("warning:")]
    about = [line for line in lines if ids[1] in line]
    assert len(about) == 1, done.stderr
    assert f"{ids[1]}/{name}" in about[0]
    assert "Traceback" not in done.stderr
    shown = research.json("list-runs")
    assert {row["job_id"] for row in shown} == {ids[0], *ids[2:]}


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '"queue"', "null", "\x00", '{"status": 5}', '{"queue": "x"}',
             '{"status": "queued", "queue": {"tag": 7}, "aexp_run": []}', "[" * 2000],
    ids=["empty", "cut", "list", "text", "null", "nul", "number", "queue", "types", "deep"],
)  # fmt: skip
def test_documents_of_any_content(research: Any, text: str) -> None:
    bad, good = research.add("condition=full,seed=0..1")
    path = research.workspace(bad) / DOCUMENT
    path.write_text(text)
    verbs = (
        ("show-run", bad),
        ("run-queued", bad, "--no-wait"),
        ("logs", bad),
        ("queue", "remove", bad),
        ("queue", "retry", bad),
        ("queue", "stop", bad),
        ("ledger", "promote", bad),
        ("queue", "release", bad),
    )
    for arguments in (*SCANS, ("queue", "retry", "--all", "--dry-run"), *verbs):
        done = research.aexp(*arguments, rc=None)
        assert done.returncode in (0, 1, 2, 75), (arguments, done)
        assert "Traceback" not in done.stderr, arguments
        assert "defect of aexp" not in done.stderr, (arguments, done.stderr)
        if path.exists() and text in ("{", "[1]", "\x00"):
            assert path.read_text() == text, f"{arguments} changed what it could not read"
    assert research.aexp("run-queued", good).stdout == "full 1\n"


def test_a_verb_on_a_corrupt_run_names_the_file(research: Any) -> None:
    job_id = research.one("seed=0")
    path = research.workspace(job_id) / DOCUMENT
    path.write_text("{")
    for verb in (("show-run",), ("run-queued",), ("queue", "remove"), ("ledger", "promote")):
        done = research.aexp(*verb, job_id, rc=1)
        assert f"{job_id}/{DOCUMENT} is not valid JSON" in done.stderr
        assert "hint: restore the file" in done.stderr


def test_a_folder_without_a_state_point(research: Any) -> None:
    job_id = research.one("seed=0")
    (research.root / ".runs" / "workspace" / ("e" * 32)).mkdir()
    done = research.aexp("list-runs")
    assert "e" * 32 in done.stderr
    assert job_id[:8] in done.stdout


def test_foreign_things_in_the_store_are_left_alone(research: Any) -> None:
    workspace = research.root / ".runs" / "workspace"
    (workspace / "notes.txt").write_text("mine")
    (workspace / "not-a-run").mkdir()
    (research.root / ".runs" / "extra.json").write_text("{")
    job_id = research.one("condition=full,seed=0")
    done = research.aexp("queue", "run")
    assert (done.stdout, research.status(job_id)) == ("full 0\n", "complete")
    assert research.aexp("reconcile").stderr == ""
    assert (workspace / "notes.txt").read_text() == "mine"


def test_a_corrupt_sentinel_is_made_again(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    research.aexp("run-queued", job_id)
    sentinel = research.workspace(job_id) / "terminal.json"
    before = sentinel.read_bytes()
    sentinel.write_bytes(before[:10])
    research.aexp("reconcile")
    assert sentinel.read_bytes() == before


def test_a_sentinel_that_a_queued_run_cannot_have_is_removed(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    sentinel = research.workspace(job_id) / "terminal.json"
    sentinel.write_text("{}")
    research.aexp("reconcile")
    assert not sentinel.exists()
    assert research.aexp("run-queued", job_id).stdout == "full 0\n"


# --- a store that cannot be written --------------------------------------------------------

# Root may write anywhere: this takes that right away (CAP_DAC_OVERRIDE, prctl(2)).
UNPRIVILEGED = """
import ctypes, os, sys
if os.geteuid() == 0:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2, 3):
        assert libc.prctl(24, capability, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
"""


class ReadOnly:
    """Runs aexp as somebody who may not write into some folders."""

    def __init__(self, research: Any) -> None:
        self.research = research
        self._closed: list[Path] = []

    def close(self, *folders: Path) -> None:
        for folder in folders:
            for path in (folder, *folder.rglob("*")):
                self._closed.append(path)
                path.chmod(0o555 if path.is_dir() else 0o444)

    def open(self) -> None:
        for path in self._closed:
            if path.exists():
                path.chmod(0o755 if path.is_dir() else 0o644)

    def aexp(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, sys.executable, "-P", "-m", "aexp", *arguments],
            cwd=self.research.root,
            env=self.research.env,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def read_only(research: Any) -> Any:
    made = ReadOnly(research)
    yield made
    made.open()


@pytest.mark.parametrize(
    "arguments",
    [
        ("queue", "add", "--experiment", "E001", "--sp", "seed=5"),
        ("new-run", "--experiment", "E001", "--sp", "seed=5"),
        ("run-queued", "QUEUED"),
        ("queue", "run"),
        ("queue", "remove", "QUEUED"),
        ("queue", "clear", "--yes"),
        ("queue", "retry", "ENDED"),
    ],
    ids=" ".join,
)
def test_a_read_only_store(research: Any, read_only: Any, arguments: tuple[str, ...]) -> None:
    ended, queued = research.add("condition=full,seed=0..1")
    research.aexp("run-queued", ended)
    read_only.close(research.root / ".runs")
    before = research.tree()
    words = [{"QUEUED": queued, "ENDED": ended}.get(word, word) for word in arguments]
    done = read_only.aexp(*words)
    assert done.returncode == 1, done
    said = done.stderr + done.stdout
    assert "Permission denied" in said
    assert "Traceback" not in said
    assert "defect" not in said
    assert research.tree() == before


def test_a_read_only_store_can_be_read(research: Any, read_only: Any) -> None:
    ended, _ = research.add("condition=full,seed=0..1")
    research.aexp("run-queued", ended)
    read_only.close(research.root / ".runs", research.root / ".aexp")
    for arguments in (("queue", "list"), ("list-runs",), ("status",), ("show-run", ended),
                      ("logs", ended), ("queue", "run", "--dry-run"), ("run-queued", ended),
                      ("queue", "materialize", "-o", "-")):  # fmt: skip
        done = read_only.aexp(*arguments)
        assert done.returncode == 0, (arguments, done)


def test_a_read_only_ledger_does_not_fail_the_run(research: Any, read_only: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    (research.root / ".aexp" / "ledger").mkdir(exist_ok=True)
    read_only.close(research.root / ".aexp" / "ledger")
    done = read_only.aexp("run-queued", job_id)
    assert (done.returncode, research.status(job_id)) == (0, "complete")
    assert "ledger entry was not written" in done.stderr
    failed = read_only.aexp("ledger", "backfill")
    assert (failed.returncode, "problem:" in failed.stderr) == (1, True)
    read_only.open()
    research.aexp("reconcile")
    assert research.entry(job_id)["status"] == "complete"


@pytest.mark.parametrize("what", ["workspace", "store"])
def test_a_file_in_the_way_of_the_store(research: Any, what: str) -> None:
    path = research.root / ".runs" / ("workspace" if what == "workspace" else "")
    shutil.rmtree(path)
    path.write_text("in the way")
    for arguments in (
        ("queue", "add", "--experiment", "E001", "--sp", "seed=0"),
        ("new-run", "--experiment", "E001"),
        ("queue", "list"),
        ("list-runs",),
        ("status",),
        ("reconcile",),
        ("install",),
    ):
        done = research.aexp(*arguments, rc=None)
        assert "Traceback" not in done.stderr, arguments
        assert "defect" not in done.stderr, (arguments, done.stderr)
        if "add" in arguments or arguments == ("new-run", "--experiment", "E001"):
            assert done.returncode == 1, (arguments, done)
    assert path.read_text() == "in the way"


def test_a_full_disk_while_logging_does_not_end_the_run(research: Any) -> None:
    """/dev/full refuses every write, as a full disk does."""
    if not os.path.exists("/dev/full"):
        pytest.fail("this test needs /dev/full")
    job_id = research.one("condition=full,seed=0")
    logs = research.workspace(job_id) / "logs"
    logs.mkdir()
    (logs / "1.log").symlink_to("/dev/full")
    done = research.aexp("run-queued", job_id)
    assert done.stdout == "full 0\n"
    assert "the log cannot be written any more: No space left" in done.stderr
    assert research.status(job_id) == "complete"


def test_a_log_that_cannot_be_opened(research: Any) -> None:
    job_id = research.one("condition=full,seed=0")
    (research.workspace(job_id) / "logs").write_text("in the way")
    done = research.aexp("run-queued", job_id, rc=1)
    assert "cannot write the log" in done.stderr
    assert research.status(job_id) == "queued"
    assert not (research.workspace(job_id) / "claim").exists()
