"""aexp ls, show and diff: runs of both machines, one function under two names."""

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aexp.runs.store import compute_job_id


def test_ls_is_list_runs(lab: Any) -> None:
    assert lab.cli("ls") == lab.cli("list-runs")
    assert lab.names("ls") == [
        "queued", "away", "nan", "failed", "cls1", "cls0", "full2", "full1", "full0",
    ]  # fmt: skip
    assert lab.names("ls", "--since", "24h") == ["queued", "away"]
    assert lab.names("ls", "--tag", "second") == ["away"]
    assert lab.names("ls", "--status", "queued") == ["queued"]
    assert lab.names("ls", "--status", "failed") == ["failed"]
    assert lab.names("ls", "--sp", "lr=0.01", "--limit", "1") == ["failed"]
    assert lab.names("ls", "--experiment", "E002", "--hypothesis", "H001") == ["away", "nan"]
    for nothing in ("2 fortnights", ""):  # a variable of the shell that is not set, too
        lab.cli("ls", "--since", nothing, rc=2)
        assert "write 30min, 24h, 7d, 2w" in lab.stderr
    assert lab.json("ls", "--tag", "nope", "--since", "1h") == []
    assert lab.stderr == "no run matches tag nope since 1h\n"


def test_ls_and_find_say_the_same(lab: Any) -> None:
    listed = {row["job_id"]: row for row in lab.json("ls")}
    for row in lab.json("find"):
        other = listed[row["job_id"]]
        for key in (
            "status",
            "experiment_id",
            "tag",
            "sp",
            "metrics",
            "ended_at",
            "cause",
            "machine",
        ):
            assert row[key] == other[key], (key, row)


def test_ls_find_and_sql_have_one_order_and_the_same_numbers(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one second the one queued later comes first; nested numbers have names with dots."""
    shutil.copytree(lab.root, tmp_path / "r", symlinks=True)
    other = type(lab)(tmp_path / "r")
    other.cli("queue", "add", "--experiment", "E001", "--sweep", "seed=20..29")
    metrics = {"val": {"acc": 0.5, "": 1}, "none": None, "word": "x", "loss": "Infinity"}
    for seed in range(30, 36):
        other.entry(str(seed), {"seed": seed}, metrics=metrics, ended_at="2026-01-05T00:00:00Z")
    wanted = [(row["job_id"], row["metrics"]) for row in other.json("ls")]
    assert [(row["job_id"], row["metrics"]) for row in other.json("find")] == wanted
    told = other.json("sql", "SELECT job_id, metrics FROM v_runs")
    assert [(row["job_id"], json.loads(row["metrics"] or "{}")) for row in told] == wanted
    assert [row["sp"]["seed"] for row in other.json("find", "--limit", "3")] == [29, 28, 27]
    # Of a long ledger the catalogue is asked: nothing else changes.
    asked = [
        (), ("--csv",), ("--limit", "12", "--json"), ("--since", "2026-01-05", "--md"),
        ("--sp", "seed=1", "--csv"), ("--status", "queued", "--limit", "2"),
        ("--experiment", "E002", "--hypothesis", "H001", "--tag", "second"), ("--tag", "nope"),
    ]  # fmt: skip
    before = [(other.cli("ls", *words), other.stderr) for words in asked]
    monkeypatch.setattr("aexp.cli.runs._MANY", 1)
    monkeypatch.setattr("aexp.cli.runs.find_known", None)
    for words, told in zip(asked, before, strict=True):
        assert (other.cli("ls", *words), other.stderr) == told
    (row,) = other.json("best", "--metric", "val.acc", "--param", "seed=30")
    assert (row["value"], row["metrics"]) == (
        0.5, {"val.acc": 0.5, "val": 1, "loss": "Infinity"},
    )  # fmt: skip
    # Of 25 ids two begin alike, whether they are in the store or in the ledger.
    ids = [job_id for job_id, _ in wanted]
    (letter, _), *_ = Counter(job_id[0] for job_id in ids).most_common()
    for verb in (("show", letter), ("diff", letter, ids[0])):
        other.cli(*verb, rc=1)
        assert f"runs begin with {letter}" in other.stderr


def test_show_is_show_run(lab: Any) -> None:
    job_id = lab.ids["failed"]
    shown = lab.cli("show", job_id[:7])
    assert shown == lab.cli("show-run", job_id.upper())
    for text in (job_id, "failed", "oom", "4712", "accuracy = 0.99", "machine       here"):
        assert text in shown
    assert lab.json("show", job_id)["machine"] == "here"
    assert lab.json("show", lab.ids["queued"])["machine"] is None
    assert "outcome       diverged" in lab.cli("show", lab.ids["nan"])
    assert "machine       lab2 (it is known from the ledger alone)" in lab.cli(
        "show", lab.ids["away"]
    )
    lab.cli("show", "", rc=2)
    lab.cli("show", "xyz", rc=2)
    lab.cli("show", "0" * 32, rc=1)
    assert "no run begins with" in lab.stderr


def test_diff(lab: Any) -> None:
    found = lab.json("diff", lab.ids["full0"][:10], lab.ids["cls1"][:10])
    assert found["compared"] == [lab.ids["full0"], lab.ids["cls1"]]
    told = {(one["group"], one["name"]): one for one in found["differences"]}
    assert told["state point", "model.depth"]["change"] == 2
    assert (told["state point", "condition"]["a"], told["state point", "condition"]["b"]) == (
        "full", "cls",
    )  # fmt: skip
    assert told["metrics", "accuracy"]["change"] == pytest.approx(0.05)
    assert told["code", "train.py"]["b"] == "changed"
    assert ("code", "kb/note.md") not in told
    assert told["environment", "digest"]["a"].endswith("a" * 64)
    assert "only digests" in " ".join(found["unknown"])
    assert ("state point", "code_commit") not in told
    away = lab.json("diff", lab.ids["nan"], lab.ids["away"])["differences"]
    told = {(one["group"], one["name"]): one for one in away}
    assert told["outputs", "results/model.pt"]["a"] is None
    assert told["metrics", "score"]["change"] == 1.5
    # The text "1" is not the number 1, and neither is more than the other.
    assert (told["state point", "x"]["a"], told["state point", "x"]["b"]) == ("1", 1)
    assert told["state point", "x"]["change"] is None


def test_diff_for_people(lab: Any) -> None:
    lines = lab.cli("diff", lab.ids["full0"], lab.ids["full1"]).splitlines()
    ids = [lab.ids["full0"][:8], lab.ids["full1"][:8]]
    assert lines[0].split() == ["GROUP", "WHAT", *ids, "CHANGE"]
    assert [line.split() for line in lines[1:]] == [
        ["state", "point", "seed", "0", "1", "+1"],
        ["metrics", "accuracy", "0.9", "0.92", "+0.02"],
        ["loss", "0.3", "0.2", "-0.1"],
    ]
    same = lab.ids["full0"]
    assert lab.cli("diff", same, same, "--exit-code") == ""
    assert lab.stderr.startswith("no difference\n")
    assert json.loads(lab.cli("diff", same, same, "--json"))["same"]
    lab.cli("diff", same, lab.ids["full1"], "--exit-code", rc=1)


def test_diff_of_commits_that_git_does_not_have(lab: Any, tmp_path: Path) -> None:
    """What cannot be compared is said; a commit from a ledger is never an option of git."""
    other = type(lab)(tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    one = other.entry("one", {"seed": 1, "code_commit": "c0ffee" * 6 + "c0ff", "code_dirty": True})
    two = other.entry("two", {"seed": 2, "code_commit": "--output=pwned", "code_dirty": False})
    assert two == compute_job_id(
        json.loads((tmp_path / f".aexp/ledger/{two}.json").read_text())["statepoint"]
    )
    found = other.json("diff", one, two)
    told = " ".join(found["unknown"])
    assert "git does not have both commits" in told
    assert "not committed" in told
    assert not list(tmp_path.glob("*pwned*"))


def test_a_clone_without_a_store_sees_the_ledger(lab: Any, tmp_path: Path) -> None:
    clone = type(lab)(tmp_path)
    (tmp_path / ".git").mkdir()
    for verb in (("ls",), ("find",), ("table",), ("show", "a"), ("best", "--metric", "x")):
        clone.cli(*verb, rc=1)
        assert "no run store" in clone.stderr
    job_id = clone.entry("one", {"seed": 1}, metrics={"x": 1})
    (tmp_path / ".aexp" / "ledger" / ("0" * 32 + ".json")).write_text("{")
    for verb in (("ls",), ("find",), ("best", "--metric", "x")):
        assert [row["job_id"] for row in clone.json(*verb)] == [job_id]
        assert clone.stderr.count("warning:") == 1, verb
        assert "0" * 32 in clone.stderr
    assert "seed=1" in clone.cli("show", job_id[:8])
