"""aexp check: runs are judged by the content of what they depend on, all of them, rightly."""

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from aexp.model import utc_now

Bench = Any


def test_what_a_run_depends_on_makes_it_stale_and_nothing_else_does(bench: Bench) -> None:
    a, b = bench.run("seed=0,condition=full"), bench.run("seed=1,condition=full")
    assert bench.check("--check-outputs", "--strict") == {a: ("fresh", ""), b: ("fresh", "")}

    # A commit is no change of a run's files, whatever moves HEAD.
    bench.commit("nothing")
    bench.write("notes.md", "a word")
    bench.write("other.py", "print()")
    bench.commit("docs and other code")
    assert bench.states("--strict") == {"fresh"}

    def change(name: str, text: str) -> str:
        path = bench.root / name
        before = path.read_bytes() if path.exists() else None
        path.write_text(text)
        why = bench.why()
        path.unlink() if before is None else path.write_bytes(before)
        assert bench.states() == {"fresh"}  # what is as it was is fresh again
        return str(why)

    assert change("step.sh", "echo") == "code: step.sh changed"
    assert change("data.csv", "two\n") == "input: data.csv changed"
    assert change("requirements.txt", "x==1") == "environment: requirements.txt is new"
    experiment = "kb/research/experiments/E001-test.md"
    text = (bench.root / experiment).read_text()
    assert change(experiment, text.replace("model: base", "model: wide")) == (
        "parameters: condition full of E001 has changed"
    )
    assert change(experiment, text.replace("sh step.sh", "dash step.sh")) == (
        "command: the command of E001 has changed"
    )
    declared = "parameters: {seed: int, model: str, lr: {type: float, default: 0.1}, depth: 3}\n"
    wider = text.replace("inputs:", declared.replace("depth: 3", "depth: {default: 3}") + "inputs:")
    assert "depth: none then, 3 now" in change(experiment, wider)
    (bench.root / "data.csv").unlink()
    assert bench.why() == "input: data.csv is gone"
    assert bench.states("--ignore", "input") == {"fresh"}


def test_new_files_of_a_pattern_count(bench: Bench) -> None:
    files = "code: ['src/**/*.sh', step.sh]\ninputs: [data]\n"
    bench.research.experiment("sh step.sh {seed}", files)
    bench.write("src/a/one.sh", "1")
    bench.write("data/x.csv", "1")
    bench.write("src/__pycache__/one.pyc", "cache")
    run = bench.run("seed=0")
    paths = [item["path"] for item in bench.recorded(run)["code_files"]]
    assert paths == ["src/a/one.sh", "step.sh"]
    assert bench.states() == {"fresh"}
    bench.write("src/a/b/two.sh", "2")
    bench.write("data/.hidden", "2")
    assert bench.why() == "code: src/a/b/two.sh is new"
    bench.write("data/y.csv", "2")
    assert bench.why().endswith("input: data/y.csv is new")


def test_a_dirty_run_is_judged_by_content(bench: Bench) -> None:
    """Its own output makes the next run's tree dirty: that says nothing about either."""
    bench.write("step.sh", bench.root.joinpath("step.sh").read_text() + "# not committed\n")
    runs = [bench.run(f"seed={seed}") for seed in range(2)]
    assert [bench.recorded(run)["code_dirty"] for run in runs] == [True, True]
    assert bench.check("--strict") == {run: ("fresh", "") for run in runs}
    bench.commit("now it is committed")
    assert bench.states("--strict") == {"fresh"}
    bench.git("rm", "-q", "--cached", "step.sh")
    assert bench.states("--strict") == {"fresh"}
    bench.write("step.sh", "echo")
    assert bench.why() == "code: step.sh changed"


def test_outputs_count_when_asked_and_change_the_exit_code(bench: Bench) -> None:
    """Digests are taken when each run ends: two runs with one path have two digests."""
    bench.research.experiment(
        "echo {seed} > out.txt; echo {seed} > out-{seed}.txt",
        "code: [step.sh]\noutputs: [out.txt, 'out-{seed}.txt']\n",
    )
    a, b = bench.run("seed=0"), bench.run("seed=1")
    (mine, theirs) = (
        {item["path"]: item["sha256"] for item in bench.recorded(run)["outputs"]} for run in (a, b)
    )
    assert mine["out.txt"] == mine["out-0.txt"] != theirs["out.txt"] == theirs["out-1.txt"]
    assert bench.states() == {"fresh"}
    found = bench.check("--check-outputs", rc=1)
    assert found[b] == ("fresh", "")
    assert found[a] == (
        "output",
        f"changed: out.txt changed; out.txt is now as run {b[:8]} has made it",
    )
    (bench.root / "out-1.txt").unlink()
    assert bench.check("--check-outputs", rc=1)[b] == ("output", "missing: out-1.txt is gone")
    assert bench.states() == {"fresh"}
    # Of a run of another clone, a file that is not here says nothing.
    entry = bench.recorded(b)
    bench.entry(
        "far", outputs=entry["outputs"], declared=entry["declared"], code_files=entry["code_files"]
    )
    far = bench.check("--check-outputs", rc=1)
    assert ("unverifiable", "outputs: out-1.txt is not in this clone") in far.values()


def test_a_run_that_made_nothing_of_what_it_declares(bench: Bench) -> None:
    bench.research.experiment("true", "code: [step.sh]\noutputs: ['never-*.txt']\n")
    bench.run("seed=0")
    assert bench.states() == {"fresh"}
    (found,) = bench.check("--check-outputs", rc=1).values()
    assert found == ("output", "missing: never-*.txt: nothing was made")


def test_what_cannot_be_verified_is_said_and_fails_strictly(bench: Bench) -> None:
    bench.research.experiment("echo {seed}")
    bench.commit()
    run = bench.run("seed=0")  # its command names no file: only the whole code can tell
    assert "code_files" not in bench.recorded(run)
    assert bench.states("--strict") == {"fresh"}
    bench.write("step.sh", "echo")
    commit = bench.recorded(run)["code_commit"][:12]
    found = bench.check()
    words = f"code: no file of its code is recorded; some code has changed since {commit}"
    assert found == {run: ("unverifiable", words)}
    bench.check("--strict", rc=3)
    bench.entry("gone", code_commit="0" * 40, code_dirty=False)
    bench.entry("none")
    words = [why for _, why in bench.check().values()]
    assert any("its commit 000000000000 is not in this clone" in why for why in words)
    assert any("no file and no commit of its code is recorded" in why for why in words)
    # Something stale is more than something unknown.
    bench.entry("old", code_files=[{"path": "step.sh", "sha256": "0" * 64, "size": 1}])
    bench.check("--strict", rc=1)


def test_every_run_of_this_project_and_no_other(bench: Bench, tmp_path: Path) -> None:
    files = [{"path": "step.sh", "sha256": "0" * 64, "size": 1}]
    ids = {bench.entry(f"run {number}", code_files=files) for number in range(120)}
    failed = bench.entry("bad", code_files=files, status="failed")
    bench.queue("seed=7")
    never = bench.entry("never", status="abandoned", attempts=[], started_at=None)
    found = bench.json("check", rc=1)
    assert {run["job_id"] for run in found["runs"]} == {*ids, failed}
    assert found["counts"] == {"fresh": 0, "stale": 121, "output": 0, "unverifiable": 0}
    assert found["not_judged"] == {"abandoned": 1, "queued": 1}
    assert never not in {run["job_id"] for run in found["runs"]}
    assert set(bench.check("--status", "failed", rc=1)) == {failed}
    assert bench.json("check", "--experiment", "E001", rc=1)["not_judged"] == found["not_judged"]
    assert bench.json("check", "--experiment", "E002")["not_judged"] == {}
    bench.cli("check", "--experiment", "E002")
    assert "there is no such run" in bench.stderr
    assert set(bench.check(failed[:12], rc=1)) == {failed}
    text = bench.cli("check", rc=1)
    assert "121 runs checked: 121 stale" in text
    assert "not judged, for want of a result: 1 abandoned, 1 queued" in bench.stderr
    # A repository beside it, of the same machine, has nothing to do with them.
    other = tmp_path / "other"
    other.mkdir()
    bench.research.__class__(other).git("init", "-q")
    bench.cli("install", "--yes", cwd=other)
    assert bench.json("check", cwd=other)["checked"] == 0


def test_a_wrong_call_is_refused(bench: Bench, tmp_path: Path) -> None:
    for arguments, code, said in (
        (("--status", "bogus"), 2, "bogus"),
        (("--ignore", "bogus"), 2, "bogus"),
        (("--experiment", "bogus"), 2, "bogus"),
        (("xyz",), 2, "not a run id"),
        (("abcdef01",), 1, "no run begins with abcdef01"),
    ):
        bench.cli("check", *arguments, rc=code)
        assert said in bench.stderr, arguments
    # Where nothing was ever set up nothing is fresh.
    bare = tmp_path / "bare"
    (bare / ".git").mkdir(parents=True)
    for verb in (("check", "--strict"), ("lineage", "abcdef01")):
        bench.cli(*verb, rc=1, cwd=bare)
        assert "run: aexp install" in bench.stderr, verb


def test_a_damaged_file_costs_itself_a_warning_and_the_exit_code(bench: Bench) -> None:
    good = bench.run("seed=0")
    bad = bench.entry("bad")
    (bench.root / ".aexp" / "ledger" / f"{bad}.json").write_text("{")
    assert bench.check(rc=1) == {good: ("fresh", "")}
    assert f".aexp/ledger/{bad}.json is not valid JSON" in bench.stderr
    for verb in ("show", "lineage"):
        bench.cli(verb, bad, rc=1)
        assert f".aexp/ledger/{bad}.json, which is damaged" in bench.stderr
    child = bench.entry("child", derived_from=[bad])
    assert child[:8] in bench.cli("lineage", bad)
    bench.cli("queue", "retry", child, rc=1)
    assert f"aexp show {child[:8]}" in bench.stderr
    (bench.root / ".aexp" / "ledger" / f"{child}.json").unlink()
    # What a foreign hand has written is data: nothing outside of the repository is looked at.
    (bench.root / ".aexp" / "ledger" / f"{bad}.json").unlink()
    odd = bench.entry(
        "odd",
        code_files=[{"path": "/etc/passwd", "sha256": "0" * 64, "size": 1}],
        declared={"code": ["../*", "/etc/*"]},
        inputs={"digest": 3},
        upstream=["x"],
        after="x",
        sidecar="/etc/passwd",
        sidecar_sha256="x",
        environment={"software": 3},
    )
    assert bench.check()[odd][0] == "unverifiable"
    for files in ([{"path": "../../x", "sha256": "0" * 64}], ["x"], [{"path": 3}], "x", 3, {}):
        bench.entry("odd", code_files=files)
        assert bench.check()[odd] == (
            "unverifiable", "code: its record names no files of the repository"
        ), files  # fmt: skip


def test_a_sidecar_that_has_changed(bench: Bench) -> None:
    files = bench.recorded(bench.run("seed=0"))["code_files"]
    bench.write("step.aexp.toml", "a = 1")
    run = bench.entry(
        "registered",
        code_files=files,
        sidecar="step.aexp.toml",
        sidecar_sha256="sha256:" + sha256(b"a = 1").hexdigest(),
        sidecar_mode="declared",
    )
    without = bench.entry(
        "bypassed",
        code_files=files,
        sidecar="step.aexp.toml",
        sidecar_sha256="sha256:" + sha256(b"a = 1").hexdigest(),
        sidecar_mode="bypassed",
    )
    assert bench.states() == {"fresh"}
    bench.write("step.aexp.toml", "a = 2")
    found = bench.check(rc=1)
    assert found[run] == ("stale", "sidecar: step.aexp.toml has changed")
    assert found[without] == ("fresh", ""), "it was executed without"
    (bench.root / "step.aexp.toml").unlink()
    assert bench.check(rc=1)[run] == ("stale", "sidecar: step.aexp.toml is gone")


def test_parents_that_ran_again_or_are_stale(bench: Bench) -> None:
    bench.research.experiment(
        "cat out-{seed}.txt > sum-{seed}.txt",
        "inputs: ['out-{seed}.txt']\ncode: [step.sh]\n",
        "E002",
    )
    parent = bench.run("seed=0")
    by_order = bench.run("seed=5", experiment="E001")
    child = bench.run("seed=0", "--after", by_order, experiment="E002")
    entry = bench.recorded(child)
    assert entry["upstream"] == [
        {"job_id": by_order, "ended_at": bench.recorded(by_order)["ended_at"]}
    ]
    assert bench.states("--strict") == {"fresh"}
    # The input's own bytes are what they were, but the run that has made them is stale.
    bench.write("data.csv", "two\n")
    found = bench.check(rc=1)
    assert found[child][1] == (
        f"upstream: run {by_order[:8]} is stale (input), run {parent[:8]} is stale (input)"
    )
    bench.write("data.csv", "one\n")
    bench.cli("queue", "retry", by_order)
    assert f"run {by_order[:8]} is queued again" in bench.check(rc=1)[child][1]
    end = bench.recorded(by_order)["ended_at"]
    while utc_now() == end:  # whole seconds
        os.sched_yield()
    bench.execute(by_order)
    assert f"run {by_order[:8]} was executed again since" in bench.check(rc=1)[child][1]
    bench.cli("queue", "retry", child)
    bench.execute(child)
    assert bench.states("--strict") == {"fresh"}


def test_parents_that_nobody_knows_and_circles(bench: Bench) -> None:
    files = bench.recorded(bench.run("seed=0"))["code_files"]
    lost = bench.entry("child", code_files=files, derived_from=["f" * 32])
    assert bench.check()[lost] == ("unverifiable", "upstream: run ffffffff is not known here")
    a = bench.entry("a", code_files=files)
    b = bench.entry("b", code_files=files, derived_from=[a])
    bench.entry("a", code_files=files, derived_from=[b])  # each builds on the other
    assert bench.check()[a] == bench.check()[b] == ("fresh", "")
    old = [{**files[0], "sha256": "0" * 64}]
    bench.entry("a", code_files=old, derived_from=[b])
    found = bench.check(rc=1)
    assert found[b] == ("stale", f"upstream: run {a[:8]} is stale (code)")
    # What stands on a circle hears of it, whichever run of it is asked about first.
    for names in (("c", "d"), ("d", "c")):
        one, other = (bench.entry(name, code_files=files) for name in names)
        bench.entry(names[0], code_files=old, derived_from=[other])
        bench.entry(names[1], code_files=files, derived_from=[one])
        child = bench.entry("outside", code_files=files, derived_from=[other])
        found = bench.check(rc=1)
        assert {run: found[run][0] for run in (one, other, child)} == dict.fromkeys(
            (one, other, child), "stale"
        )
    # The weights that a run began with are what they were, whatever their run does now.
    parent = bench.queue("seed=9")
    child = bench.entry("branch", code_files=files, init_run=parent)
    assert bench.check(child)[child] == ("fresh", "")
    weights = bench.entry("weights", code_files=old)
    attempt = {"attempt": 1, "status": "complete", "resumed_run": weights}
    child = bench.entry("branch", code_files=files, init_run=parent, attempts=[attempt])
    assert bench.check(child, rc=1)[child][1] == f"upstream: run {weights[:8]} is stale (code)"
    # A long chain needs no deep recursion.
    last = bench.entry("0", code_files=old)
    for number in range(1, 1500):
        last = bench.entry(str(number), code_files=files, derived_from=[last])
    assert bench.check(last[:12], rc=1)[last][0] == "stale"


def test_nothing_is_written_but_the_cache(bench: Bench) -> None:
    bench.write("data.csv", "x" * 100_000)  # large enough to be remembered
    run = bench.run("seed=0")

    def tree() -> dict[str, Any]:
        return {
            name: data
            for name, data in bench.research.tree().items()
            if not name.startswith((".aexp/cache", ".git/"))
        }

    before = tree()
    bench.cli("check", "--check-outputs")
    bench.cli("lineage", run)
    bench.cli("sprint-audit")
    assert tree() == before


def test_a_file_of_the_store_is_judged_without_its_ledger(bench: Bench) -> None:
    run = bench.run("seed=0")
    (bench.root / ".aexp" / "ledger" / f"{run}.json").unlink()
    assert bench.check() == {run: ("fresh", "")}
    document = json.loads(json.dumps(bench.research.doc(run)))
    assert document["aexp_run"]["attempts"][-1]["files"]["inputs"][0]["path"] == "data.csv"
