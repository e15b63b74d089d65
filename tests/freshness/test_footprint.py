"""What a run records of its files: which, when, how many; and what that costs a run without."""

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aexp.errors import ParameterError
from aexp.footprint import digests
from aexp.footprint.digests import Cancelled, Digests
from aexp.footprint.patterns import TooManyFiles, expand, render
from aexp.footprint.record import Footprint
from aexp.kb.declared_files import DeclaredFiles, read_declared_files
from aexp.kb.runner import Runner
from aexp.model import Run
from aexp.paths import Repo

Bench = Any
RUN = "0" * 32


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def test_code_inputs_and_outputs_are_in_document_and_ledger(bench: Bench) -> None:
    bench.research.experiment(
        "sh step.sh {seed}; echo w > $AEXP_JOB_WORKSPACE/w.pt",
        "code: [step.sh, 'lib/**/*.sh']\ninputs: ['d*.csv', sets, none.csv]\n"
        "outputs: ['out-{seed}.txt', '{workspace}/*.pt', '{workspace}']\n",
    )
    bench.write("sets/b/2.csv", "b")
    bench.write("sets/a.csv", "a")
    run = bench.run("seed=0")
    entry = bench.recorded(run)
    script = (bench.root / "step.sh").read_text()
    workspace = f".runs/workspace/{run}"
    assert entry["code_files"] == [
        {"path": "step.sh", "sha256": digest(script), "size": len(script)}
    ]
    assert [(f["path"], f["sha256"]) for f in entry["inputs"]] == [
        ("data.csv", digest("one\n")), ("sets/a.csv", digest("a")), ("sets/b/2.csv", digest("b"))
    ]  # fmt: skip
    # Of the run's folder: what the run has made, not what aexp keeps there.
    assert [(f["path"], f["sha256"]) for f in entry["outputs"]] == [
        (f"{workspace}/w.pt", digest("w\n")), ("out-0.txt", digest("one 0\n"))
    ]  # fmt: skip
    assert entry["declared"] == {
        "code": ["step.sh", "lib/**/*.sh"],
        "inputs": ["d*.csv", "sets", "none.csv"],
        "outputs": ["out-0.txt", f"{workspace}/*.pt", workspace],
    }
    attempt = bench.research.doc(run)["aexp_run"]["attempts"][-1]
    assert attempt["files"]["code"] == entry["code_files"]
    bench.cli("ledger", "verify")
    # The whole entry is made again from the document, to the byte.
    path = bench.root / ".aexp" / "ledger" / f"{run}.json"
    before = path.read_bytes()
    path.unlink()
    bench.cli("ledger", "promote", run)
    assert path.read_bytes() == before
    # signac reads the document: it has no key with a dot.
    from aexp import open_run

    job = open_run(run, repo_root=bench.root)
    assert job.doc["aexp_run"]["attempts"][-1]["files"]["inputs"][0]["path"] == "data.csv"
    # When another result takes its place, its files do, too; those before are kept by attempt.
    bench.write("data.csv", "two\n")
    bench.cli("queue", "retry", run)
    bench.execute(run)
    assert bench.recorded(run)["outputs"][1]["sha256"] == digest("two 0\n")
    first = bench.research.doc(run)["aexp_run"]["attempts"][0]["files"]
    assert first["outputs"] == entry["outputs"]


def test_a_run_that_has_no_files_pays_nothing(bench: Bench) -> None:
    bench.research.experiment("echo hi")
    run = bench.run("seed=0")
    assert "files" not in bench.research.doc(run)["aexp_run"]["attempts"][-1]
    assert not {"code_files", "declared", "runner", "inputs"} & bench.recorded(run).keys()
    bench.research.experiment("sh step.sh {seed}", "code: []\n")
    assert "code_files" not in bench.recorded(bench.run("seed=1"))


def test_the_code_of_a_command_is_its_scripts_and_what_git_has_of_its_words(bench: Bench) -> None:
    bench.write("tool/__main__.py", "print(1)")
    bench.write("src/other.py", "print(1)")
    bench.write("[a]b.sh", "true")
    bench.commit()
    bench.write("new.cfg", "not in git")
    bench.write("scripts/explore/261121_new.py", "print(1)")  # git has it not, and ignores it
    bench.write(".git/info/exclude", "explore")
    command = (
        "sh step.sh {seed}; python3 -m tool; sh '[a]b.sh' < data.csv; cat new.cfg; ls /etc ../x;"
        " python3 scripts/explore/261121_new.py"
    )
    bench.research.experiment(command + "; true")
    run = bench.run("seed=0")
    paths = [item["path"] for item in bench.recorded(run)["code_files"]]
    assert paths == [
        "[a]b.sh", "data.csv", "scripts/explore/261121_new.py", "step.sh", "tool/__main__.py"
    ]  # fmt: skip
    assert bench.states("--strict") == {"fresh"}
    bench.write("scripts/explore/261121_new.py", "print(2)")
    assert bench.why() == "code: scripts/explore/261121_new.py changed"


@pytest.mark.parametrize(
    "line",
    ["inputs: [/etc/passwd]", "outputs: ['../x']", "code: [a/../../b]", "inputs: {a: 1}",
     "inputs: [3]", "outputs: ['~/x']", "code: ['.git/config']", 'code: ["a\\nb"]'],
)  # fmt: skip
def test_what_cannot_be_declared_is_refused_before_anything_is_queued(
    bench: Bench, line: str
) -> None:
    bench.research.experiment("true", line + "\n")
    bench.cli("queue", "add", "--experiment", "E001", "--sp", "seed=0", rc=1)
    assert "hint: " in bench.stderr
    assert not list((bench.root / ".runs" / "workspace").iterdir())


def test_a_value_leads_nowhere_else(bench: Bench) -> None:
    """A value of a user's is text in a pattern: no wildcard, and no way out."""
    bench.research.experiment("true", "code: [step.sh]\ninputs: ['sets/{name}.csv']\n")
    bench.write("sets/a.csv", "a")
    bench.write("sets/*.csv", "star")
    star, out = bench.run("name=*"), bench.run("name=../../../etc/passwd")
    assert [item["path"] for item in bench.recorded(star)["inputs"]] == ["sets/*.csv"]
    assert "inputs" not in bench.recorded(out)
    (problem,) = bench.research.doc(out)["aexp_run"]["attempts"][-1]["files"]["problems"]
    assert "does not stay inside the repository" in problem


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=20))
def test_a_pattern_with_a_value_matches_exactly_that_file(bench: Bench, value: str) -> None:
    repo = Repo(bench.root)
    try:
        (pattern,) = render(repo, ["v/x{value}.csv"], {"value": value}, RUN)
    except ParameterError:
        assert ".." in f"x{value}".split("/")
        return
    name = f"v/x{value}.csv"
    if "/" in value or len(name.encode()) > 250 or not name.isprintable():
        return
    for other in ("v/x0.csv", name):
        bench.write(other, "1")
    assert name in expand(repo, [pattern])
    assert len(expand(repo, [pattern])) == 1


def test_very_many_files_are_one_digest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.research.experiment("true", "code: [step.sh]\ninputs: [many]\n")
    for number in range(1001):
        bench.write(f"many/{number}.csv", str(number))
    run = bench.run("seed=0")
    told = bench.recorded(run)["inputs"]
    assert told.keys() == {"count", "digest", "size"}
    assert told["count"] == 1001
    assert bench.states() == {"fresh"}
    bench.write("many/1000.csv", "changed")
    assert bench.why() == "input: 1001 files, now 1001, which changed"
    monkeypatch.setattr("aexp.footprint.patterns.MAX_FILES", 1000)
    with pytest.raises(TooManyFiles, match="more than 1000 files"):
        expand(Repo(bench.root), ["many"])
    assert bench.check()[run][0] == "unverifiable"


def test_large_files_are_read_again_when_the_file_system_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED_S", -10.0)  # the file's age is not the point here
    path = bench.write("large.bin", "a" * 200_000)
    stamp = path.stat()
    repo = Repo(bench.root)

    def read() -> str:
        (fact,) = Digests(repo).of_all(["large.bin"])
        return fact.sha256

    assert read() == digest("a" * 200_000)
    monkeypatch.setattr(Digests, "_read", lambda self, full: "from the disk")
    assert read() == digest("a" * 200_000)  # remembered
    monkeypatch.undo()
    monkeypatch.setattr(digests, "_SETTLED_S", -10.0)
    with path.open("r+") as file:  # same size, same inode, same time of modification
        file.write("b")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert read() == digest("b" + "a" * 199_999)
    for memory in (bench.root / ".aexp" / "cache" / "digests").iterdir():
        memory.write_text('{"folder": "", "files": [1]}')  # a cache is never trusted to be sound
    assert read() == digest("b" + "a" * 199_999)
    for memory in (bench.root / ".aexp" / "cache" / "digests").iterdir():
        memory.write_text("{")
    assert read() == digest("b" + "a" * 199_999)


def test_a_run_that_is_being_ended_reads_no_more(bench: Bench) -> None:
    bench.write("large.bin", "a" * (3 << 20))
    repo = Repo(bench.root)
    with pytest.raises(Cancelled):
        Digests(repo, lambda: True).of("large.bin")
    runner = Runner("true", None, DeclaredFiles((), ("large.bin", "data.csv"), ()))
    record = Footprint(repo, Run(RUN, {}, {}), runner, lambda: True).begin("true")
    assert record is not None
    assert record["problems"] == ["inputs: not read, the run was being ended"]
    assert "inputs" not in record


def test_a_file_that_cannot_be_read_is_a_problem_of_the_record_only(bench: Bench) -> None:
    bench.research.experiment("true", "code: [step.sh]\ninputs: [linked]\n")
    (bench.root / "linked").symlink_to(bench.root / "nowhere")
    run = bench.run("seed=0")
    assert bench.recorded(run)["inputs"] == []
    (bench.root / "linked").unlink()
    data = bench.root.parent / "data elsewhere"
    data.mkdir()
    (data / "x.csv").write_text("1")
    (bench.root / "linked").symlink_to(data)  # how data elsewhere is declared
    run = bench.run("seed=1")
    assert [item["path"] for item in bench.recorded(run)["inputs"]] == ["linked/x.csv"]


def test_blocks_of_python_record_their_files_too(bench: Bench) -> None:
    bench.write(
        "hand.py",
        "import aexp\nwith aexp.start('E001', {'seed': 0}):\n"
        "    open('out-0.txt', 'w').write('x')\n",
    )
    bench.commit()
    done = bench.research.start("python3", "hand.py")
    out = done.communicate()[0].decode()
    assert done.returncode == 0, out
    (run,) = (path.name for path in (bench.root / ".runs" / "workspace").iterdir())
    entry = bench.recorded(run)
    assert [item["path"] for item in entry["code_files"]] == ["hand.py"]
    assert [item["path"] for item in entry["inputs"]] == ["data.csv"]
    assert [item["sha256"] for item in entry["outputs"]] == [digest("x")]


def test_outputs_of_a_command_that_is_a_run_of_its_own(bench: Bench) -> None:
    bench.cli("exec", "--out", "made-*.txt", "--", "sh", "-c", "echo 1 > made-1.txt")
    (run,) = (path.name for path in (bench.root / ".runs" / "workspace").iterdir())
    assert [item["path"] for item in bench.recorded(run)["outputs"]] == ["made-1.txt"]
    (bench.root / "made-1.txt").write_text("2")
    assert bench.check("--check-outputs", rc=1)[run][0] == "output"


def test_what_is_declared_is_read_from_the_frontmatter(tmp_path: Path) -> None:
    assert read_declared_files({}) == DeclaredFiles(None, (), ())
    assert read_declared_files({"code": "a.py", "inputs": ["x", "x"]}) == DeclaredFiles(
        ("a.py",), ("x",), ()
    )
    with pytest.raises(ParameterError, match="not a list of patterns"):
        read_declared_files({"outputs": ["x"] * 201})
