"""Mistakes: a message with a hint, the right exit code, no traceback, nothing half-written."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ID = "0123456789abcdef0123456789abcdef"

TAKES_ID = [
    ("show-run",),
    ("run-queued",),
    ("logs",),
    ("queue", "remove"),
    ("queue", "retry"),
    ("queue", "stop"),
    ("queue", "release"),
    ("ledger", "promote"),
    ("gate",),
]
NEEDS_STORE = [
    *((*verb, ID) for verb in TAKES_ID),
    ("queue", "add", "--experiment", "E001", "--sp", "seed=0"),
    ("queue", "list"),
    ("queue", "run"),
    ("queue", "clear", "--yes"),
    ("queue", "materialize", "-o", "-"),
    ("new-run", "--experiment", "E001"),
    ("list-runs",),
    ("status",),
    ("ledger", "backfill"),
    ("reconcile",),
    ("run", "--cores", "1"),
]


def told(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Insist on an error in words with a hint, and on nothing else."""
    assert done.stderr.startswith("error: "), done.stderr
    assert "\nhint: " in done.stderr, done.stderr
    for bad in ("Traceback", "defect of aexp", 'File "'):
        assert bad not in done.stderr + done.stdout
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("verb", TAKES_ID, ids=" ".join)
@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        (ID, 1, "no run begins with"),
        ("0123", 1, "no run begins with"),
        ("nonsense!", 2, "is not a run id"),
        ("../../etc/passwd", 2, "is not a run id"),
        ("a" * 40, 2, "is not a run id"),
    ],
    ids=["unknown", "prefix", "word", "path", "long"],
)
def test_ids_that_are_none(
    research: Any, verb: tuple[str, ...], text: str, code: int, word: str
) -> None:
    before = research.tree()
    told(research.aexp(*verb, text, rc=code), word)
    assert research.tree() == before


@pytest.mark.parametrize("verb", TAKES_ID, ids=" ".join)
def test_an_ambiguous_prefix(research: Any, verb: tuple[str, ...]) -> None:
    names = [ID, ID[:-1] + "0"]
    for name in names:
        (research.root / ".runs" / "workspace" / name).mkdir()
    before = research.tree()
    told(research.aexp(*verb, ID[:6], rc=1), "2 runs begin with", "more digits")
    assert research.tree() == before


@pytest.mark.parametrize("arguments", NEEDS_STORE, ids=" ".join)
def test_outside_of_any_repository(
    research: Any, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    told(research.aexp(*arguments, cwd=place, rc=1), "no git repository", "aexp install")
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("arguments", NEEDS_STORE, ids=" ".join)
def test_in_a_repository_without_aexp(
    research: Any, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    place = tmp_path / "place"
    (place / ".git").mkdir(parents=True)
    told(research.aexp(*arguments, cwd=place, rc=1), "no run store", "aexp install")
    assert [path.name for path in place.iterdir()] == [".git"]


@pytest.mark.parametrize(
    "arguments",
    [("queue", "add", "--sp", "seed=0"), ("new-run", "--sp", "seed=0")],
    ids=["queue add", "new-run"],
)
@pytest.mark.parametrize(
    ("experiment", "code", "word"),
    [("E999", 1, "no experiment E999"), ("E1", 2, "'E1' is not"), ("../E001", 2, "is not an exp")],
)
def test_experiments_that_are_none(
    research: Any, arguments: tuple[str, ...], experiment: str, code: int, word: str
) -> None:
    before = research.tree()
    told(research.aexp(*arguments, "--experiment", experiment, rc=code), word)
    assert research.tree() == before


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"---\nid: E001\nrunner_command: caf\xe9\n---\n", "not UTF-8"),
        (b"---\nid: E001\nrunner_command: [\n---\n", "not valid YAML"),
        (b"---\nid: E001\n", "no closing ---"),
        (b"---\n- a\n---\n", "not a mapping"),
        (b"---\nrunner_command: 5\n---\n", "runner_command is not a text"),
        (b"---\nrunner_command: x\nconditions: [a]\n---\n", "conditions is not a mapping"),
        (b"---\nrunner_command: x\nretries: many\n---\n", "retries"),
        (b"---\nrunner_command: x\ntimeout: soon\n---\n", "timeout"),
        (b"---\nrunner_command: x\nresources: 5\n---\n", "resources is not a mapping"),
        (b"---\nrunner_command: x\nresources: {ram: 5}\n---\n", "'ram' is not a resource"),
        (b"---\nrunner_command: x\nparameters: [1]\n---\n", "parameters"),
        (b"---\nrunner_command: 'echo {seed\x00'\n---\n", ""),
    ],
)
def test_experiment_files_that_cannot_be_used(research: Any, data: bytes, word: str) -> None:
    path = research.experiment("x")
    path.write_bytes(data)
    before = research.tree()
    done = research.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=0", rc=None)
    assert done.returncode in (1, 2)
    told(done, word, path.name)
    assert research.tree() == before


def test_two_files_of_one_experiment(research: Any) -> None:
    path = research.experiment("x")
    path.with_name("E001-other.md").write_text(path.read_text())
    done = research.aexp("queue", "add", "--experiment", "E001", "--sp", "seed=0", rc=1)
    told(done, "E001-other.md", "another id")
    assert not list((research.root / ".runs" / "workspace").iterdir())


def test_an_experiment_that_breaks_after_queueing(research: Any) -> None:
    job_id = research.one("seed=0")
    path = research.experiment("x")
    path.write_bytes(b"---\nrunner_command: caf\xe9\n---\n")
    told(research.aexp("run-queued", job_id, rc=1), "not UTF-8")
    assert research.status(job_id) == "queued"
    path.unlink()
    told(research.aexp("run-queued", job_id, rc=1), "no experiment E001")
    assert "attempts" not in research.doc(job_id)["aexp_run"]


def test_a_template_that_a_value_does_not_fit_is_refused_when_queued(research: Any) -> None:
    research.experiment("echo '{note}'")
    before = research.tree()
    done = research.aexp("queue", "add", "--experiment", "E001", "--sp", "note=it's", rc=2)
    told(done, "{note}", "single quotes", "{note!raw}")
    assert research.tree() == before


@pytest.mark.parametrize(
    "argument",
    [b"note=caf\xe9", b"\xff=1"],
)
def test_arguments_that_are_not_utf8(research: Any, argument: bytes) -> None:
    before = research.tree()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "aexp", "queue", "add", "--experiment", "E001", "--sp",
         argument],
        cwd=research.root, env=research.env, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    assert done.returncode == 2
    told(done, "UTF-8") if b"note" in argument else told(done)
    assert research.tree() == before


@pytest.mark.parametrize("env", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_non_ascii_values_under_the_c_locale(research: Any, env: dict[str, str]) -> None:
    research.experiment("echo {note}")
    research.aexp(
        "queue", "add", "--experiment", "E001", "--sp", 'note:="\\u00fc \\u2603"', env=env
    )
    (entry,) = research.json("queue", "list")
    assert entry["sp"]["note"] == "ü ☃"
    for verb in (("queue", "list"), ("show-run", entry["job_id"]), ("list-runs",)):
        research.aexp(*verb, env=env)
    assert research.aexp("run-queued", entry["job_id"], env=env).stdout == "ü ☃\n"


def test_unicode_keys_and_tags(research: Any) -> None:
    research.experiment("echo {имя}")
    job_id = research.one("имя=значение", "--tag", "серия ☃")
    assert research.aexp("run-queued", job_id).stdout == "значение\n"
    assert "серия ☃" in research.aexp("list-runs", "--tag", "серия ☃", "--json").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("queue", "list", "--experiment", "x"),
        ("queue", "list", "--sp", "seed"),
        ("queue", "list", "--tag", "a\nb"),
        ("queue", "list", "--limit", "0"),
        ("queue", "run", "--index", "x"),
        ("queue", "stop", "--grace-s", "-1", "abcd"),
        ("queue", "materialize", "--runner", "pbs"),
        ("queue", "materialize", "--array-size", "0"),
        ("list-runs", "--status", "done"),
        ("list-runs", "--hypothesis", "7"),
        ("status", "--experiment", "7"),
        ("logs", "abcd", "--attempt", "0"),
        ("completion", "tcsh"),
        ("queue", "add", "--experiment", "E001", "--retries", "x"),
        ("queue", "add", "--experiment", "E001", "--sweep-format", "toml"),
        ("queue", "add"),
        ("run-queued",),
        ("frobnicate",),
        ("queue", "list", "--frobnicate"),
    ],
    ids=" ".join,
)
def test_usage_errors_exit_with_2(research: Any, arguments: tuple[str, ...]) -> None:
    before = research.tree()
    done = research.aexp(*arguments, rc=2)
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr
    assert research.tree() == before


# --- no git --------------------------------------------------------------------------------


@pytest.fixture
def no_git(tmp_path: Path) -> dict[str, str]:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "bash", "echo"):
        found = next(
            path
            for folder in (*os.defpath.split(":"), "/usr/bin", "/bin")
            if (path := Path(folder) / name).exists()
        )
        (tools / name).symlink_to(found)
    return {"PATH": str(tools)}


@pytest.mark.parametrize(
    "arguments",
    [("queue", "add", "--sp", "seed=0"), ("new-run", "--sp", "seed=0")],
    ids=["queue add", "new-run"],
)
def test_without_git_nothing_is_claimed_about_the_code(
    research: Any, no_git: dict[str, str], arguments: tuple[str, ...]
) -> None:
    before = research.tree()
    done = research.aexp(*arguments, "--experiment", "E001", rc=1, env=no_git)
    told(done, "git is not installed", "--no-commit")
    assert research.tree() == before
    research.aexp(*arguments, "--experiment", "E001", "--no-commit", env=no_git)


def test_everything_else_works_without_git(research: Any, no_git: dict[str, str]) -> None:
    job_id = research.one("condition=full,seed=0")
    assert research.aexp("run-queued", job_id, env=no_git).stdout == "full 0\n"
    for arguments in (
        ("queue", "list"),
        ("list-runs",),
        ("show-run", job_id),
        ("status",),
        ("ledger", "backfill"),
        ("reconcile",),
        ("queue", "retry", job_id),
    ):
        research.aexp(*arguments, env=no_git)


def test_a_git_that_fails_is_told_with_its_own_words(research: Any, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").write_text("#!/bin/sh\necho 'fatal: index file corrupt' >&2; exit 128\n")
    (tools / "git").chmod(0o755)
    before = research.tree()
    done = research.aexp(
        "queue", "add", "--experiment", "E001", "--sp", "seed=0", rc=1,
        env={"PATH": f"{tools}:{research.env['PATH']}"},
    )  # fmt: skip
    told(done, "index file corrupt", "--no-commit")
    assert research.tree() == before


def test_an_editors_lock_on_the_index_does_not_matter(research: Any) -> None:
    (research.root / ".git" / "index.lock").touch()
    research.one("seed=0")
    assert (research.root / ".git" / "index.lock").exists()
