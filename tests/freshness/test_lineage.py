"""aexp lineage: parents and children by every kind of link, in any shape, from any clone."""

import json
from typing import Any

Bench = Any


def file(name: str, text: str, size: int = 1) -> dict[str, Any]:
    from hashlib import sha256

    return {"path": name, "sha256": sha256(text.encode()).hexdigest(), "size": size}


def test_every_kind_of_link_up_and_down(bench: Bench) -> None:
    data = bench.entry("data", outputs=[file("data/x.csv", "x")])
    weights = bench.entry("weights")
    first = bench.entry("first")
    run = bench.entry(
        "run",
        inputs=[file("copy-of-x.csv", "x")],
        derived_from=[weights],
        after=[first, weights],
        init_run=weights,
        attempts=[
            {
                "attempt": 1,
                "status": "queued",
                "resumed_from": "ck_" + "a" * 32,
                "resumed_run": first,
            },
            {"attempt": 2, "status": "complete", "resumed_from": "ck_" + "b" * 32},
        ],
    )
    child = bench.entry("child", derived_from=[run], outcome="wider")
    stranger = bench.entry("stranger", inputs=[file("y.csv", "y")])
    found = json.loads(bench.cli("lineage", run[:10], "--format", "json"))
    of_run = [edge for edge in found["edges"] if edge["child"] == run]
    assert {(edge["parent"], edge["kind"], edge["via_path"]) for edge in of_run} == {
        (data, "content", "copy-of-x.csv"), (weights, "declared", None), (weights, "after", None),
        (first, "after", None), (first, "checkpoint", None), (weights, "checkpoint", None),
    }  # fmt: skip
    distances = {node["job_id"]: node["distance"] for node in found["runs"]}
    assert distances == {data: -1, weights: -1, first: -1, run: 0, child: 1}
    assert stranger not in distances
    up = bench.json("lineage", run, "--up")
    assert {node["job_id"] for node in up["runs"]} == {data, weights, first, run}
    down = bench.json("lineage", run, "--down")
    assert {node["job_id"] for node in down["runs"]} == {run, child}
    assert bench.json("lineage", run, "--up", "--down") == found
    assert bench.json("lineage", child, "--up")["edges"] == found["edges"]
    near = bench.json("lineage", child, "--up", "--depth", "1")
    assert {node["job_id"] for node in near["runs"]} == {child, run}
    text = bench.cli("lineage", child)
    assert f"  {run[:8]}  E001  complete  2026-01-01 00:00  [declared]" in text
    assert f"    {data[:8]}  E001  complete  2026-01-01 00:00  [copy-of-x.csv]" in text
    assert "is built on by: nothing that is known here" in text


def test_empty_files_link_no_runs(bench: Bench) -> None:
    bench.entry("a", outputs=[file("a.log", "", 0)])
    b = bench.entry("b", inputs=[file("b.log", "", 0)])
    assert bench.json("lineage", b)["edges"] == []


def test_circles_long_chains_and_diamonds_end(bench: Bench) -> None:
    a = bench.entry("a")
    b, c = bench.entry("b", derived_from=[a]), bench.entry("c", derived_from=[a])
    d = bench.entry("d", derived_from=[b, c, b, "f" * 32])
    bench.entry("a", derived_from=[d, a])
    found = bench.json("lineage", d)
    assert {node["job_id"] for node in found["runs"]} == {a, b, c, d, "f" * 32}
    assert len(found["edges"]) == len({(e["child"], e["parent"]) for e in found["edges"]})
    for run in (a, b, c, d):
        text = bench.cli("lineage", run)
        assert len(text.splitlines()) < 25
        assert "(see above)" in text
    assert f"{'f' * 32}  not known here" in bench.cli("lineage", d)
    last = bench.entry("0")
    for number in range(1, 120):
        last = bench.entry(str(number), derived_from=[last])
    assert len(bench.json("lineage", last)["runs"]) == 120


def test_a_parent_that_nobody_knows_can_be_asked_about(bench: Bench) -> None:
    lost = "ab" * 16
    child = bench.entry("child", derived_from=[lost])
    found = bench.json("lineage", "abab")
    assert found["job_id"] == lost
    assert [(node["job_id"], node["is_known"]) for node in found["runs"]] == [
        (lost, False), (child, True)
    ]  # fmt: skip


def test_a_wrong_id_is_a_clean_error(bench: Bench) -> None:
    bench.entry("a", derived_from=["' OR 1=1 --", "\x1b[31m", 3])
    for name, code, said in (
        ("0123456", 1, "no run begins with 0123456"),
        ("x' OR 1", 2, "not a run id"),
        ("", 2, "run id"),
    ):
        bench.cli("lineage", name, rc=code)
        assert said in bench.stderr, name
        assert "hint: " in bench.stderr


def test_dot_is_data_too(bench: Bench) -> None:
    odd = 'say "hi"\\\n\x1b[31m'
    maker = bench.entry("maker", outputs=[file(odd, "x")])
    run = bench.entry("run", inputs=[file(odd, "x")], derived_from=[odd])
    text = bench.cli("lineage", run, "--format", "dot")
    lines = text.splitlines()
    assert (lines[0], lines[-1]) == ("digraph lineage {", "}")
    assert f'  "{maker}" -> "{run}" [label="say \\"hi\\"\\\\\\\\n\\\\x1b[31m"];' in lines
    assert "\x1b" not in text + bench.cli("lineage", run)
    for line in lines[1:-1]:
        assert line.endswith(";")


def test_runs_of_this_store_are_there_at_once(bench: Bench) -> None:
    """No step in between makes the catalogue see them, whatever their status."""
    parent = bench.run("seed=0")
    bench.research.experiment("cat out-0.txt", "code: [step.sh]\ninputs: [out-0.txt]\n", "E002")
    child = bench.run("seed=0", experiment="E002")
    waiting = bench.queue("seed=1", "--after", child, experiment="E002")
    found = bench.json("lineage", parent)
    assert [(node["job_id"], node["status"]) for node in found["runs"]] == [
        (parent, "complete"), (child, "complete"), (waiting, "queued")
    ]  # fmt: skip
    assert [edge["kind"] for edge in found["edges"] if edge["child"] == child] == ["content"]
    (document,) = [node for node in found["runs"] if node["job_id"] == waiting]
    assert document["is_known"]
