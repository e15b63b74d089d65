"""aexp ls, show and diff: runs of both machines, one function under two names."""

import json
import subprocess
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
    lab.cli("ls", "--since", "2 fortnights", rc=2)
    assert "write 30min, 24h, 7d, 2w" in lab.stderr
    assert lab.json("ls", "--tag", "nope", "--since", "1h") == []
    assert lab.stderr == "no run matches tag nope since 1h\n"


def test_ls_and_find_say_the_same(lab: Any) -> None:
    listed = {row["job_id"]: row for row in lab.json("ls")}
    for row in lab.json("find"):
        other = listed[row["job_id"]]
        for key in ("status", "experiment_id", "tag", "sp", "metrics", "ended_at", "cause"):
            assert row[key] == other[key], (key, row)


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


def test_a_beginning_of_two_ids(lab: Any) -> None:
    """The queued run is in the store, the others in the ledger: all count."""
    letters = {job_id[0] for job_id in lab.ids.values()}
    twice = [x for x in letters if sum(i.startswith(x) for i in lab.ids.values()) > 1]
    for letter in twice:
        lab.cli("show", letter, rc=1)
        assert f"runs begin with {letter}" in lab.stderr
        lab.cli("diff", letter, lab.ids["nan"], rc=1)
    assert twice, "nine ids and sixteen digits: choose other state points"


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
