"""aexp table and best: groups, averages over seeds, ranks; every flag."""

import csv
import io
import math
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.catalogue.best import best_runs
from aexp.catalogue.table import build_table
from aexp.cli.table import with_deviation
from aexp.runs.known import RunRecord


def test_averages_over_seeds(lab: Any) -> None:
    lines = lab.cli("table", "--experiment", "E001", "--tag", "paper").splitlines()
    assert lines[0].split() == [
        "condition", "lr", "model.depth", "RUNS", "OTHERS", "accuracy", "loss",
    ]  # fmt: skip
    assert lines[1].split() == [
        "cls", "0.01", "4", "2", "1", "failed", "0.88", "±", "0.11", "0.5", "±", "0",
    ]  # fmt: skip
    assert lines[2].split() == ["full", "0.1", "2", "3", "0.910", "±", "0.010", "0.20", "±", "0.10"]
    assert lab.stderr == "2 of 2 row(s), 5 run(s)\n"
    cls, full = lab.json("table", "--tag", "paper")
    assert cls["params"] == {"condition": "cls", "lr": 0.01, "model.depth": 4}
    assert cls["others"] == {"failed": 1}
    assert full["metrics"]["accuracy"]["sd"] == pytest.approx(0.01)
    assert full["job_ids"] == sorted(lab.ids[f"full{seed}"] for seed in range(3))


def test_what_makes_a_row(lab: Any) -> None:
    def rows(*arguments: str) -> list[dict[str, Any]]:
        return lab.json("table", "--tag", "paper", *arguments)

    assert [row["params"] for row in rows("--by", "lr")] == [{"lr": 0.01}, {"lr": 0.1}]
    (every,) = rows("--by", "")
    assert (every["runs"], every["params"]) == (5, {})
    assert len(rows("--over", "")) == 6
    assert len(rows("--over", "seed,lr,condition,model.depth")) == 1
    assert [row["params"]["condition"] for row in rows("--sort", "-accuracy")] == ["full", "cls"]
    assert [row["params"]["condition"] for row in rows("--sort", "accuracy")] == ["cls", "full"]
    assert [row["params"]["lr"] for row in rows("--sort", "-lr", "--limit", "1")] == [0.1]
    assert list(rows("--metric", "loss")[0]["metrics"]) == ["loss"]
    assert [row["runs"] for row in rows("--metric", "accuracy>=0.9")] == [1, 3]
    (failed,) = rows("--status", "failed")
    assert (failed["runs"], failed["metrics"]["accuracy"]["mean"]) == (1, 0.99)


def test_one_row_per_run(lab: Any) -> None:
    rows = lab.json("table", "--tag", "paper", "--runs", "--sort", "-accuracy")
    assert [row["metrics"]["accuracy"] for row in rows] == [0.99, 0.95, 0.92, 0.91, 0.90, 0.80]
    assert rows[0]["job_id"] == lab.ids["failed"]
    lines = lab.cli("table", "--tag", "paper", "--runs", "--by", "seed", "--limit", "2")
    assert lines.splitlines()[0].split() == ["ID", "STATUS", "seed", "accuracy", "loss"]
    assert lab.stderr == "2 run(s)\n"


def test_runs_of_other_experiments_stay_apart(lab: Any) -> None:
    """A value that is missing, a number and the text that spells it are three things."""
    rows = lab.json("table", "--by", "experiment,x")
    assert [row["params"] for row in rows] == [
        {"experiment": "E001"}, {"experiment": "E002", "x": 1}, {"experiment": "E002", "x": "1"},
    ]  # fmt: skip
    text = lab.cli("table", "--experiment", "E002")
    assert "1 of 1 not finite" in text


def test_every_condition_of_find_is_one_of_table_and_best(lab: Any) -> None:
    for words, metric in (
        (("--status", "failed"), "accuracy"),
        (("--experiment", "E001", "--since", "2026-01-02"), "accuracy"),
        (("--hypothesis", "H001", "--tag", "paper"), "loss"),
        (("--campaign", "wider"), "accuracy"),
        (("--outcome", "diverged"), "score"),
        (("--param", "lr<0.1", "--metric", "accuracy>0.9"), "loss"),
        (("--slurm-job", "4711", "--status", "failed"), "accuracy"),
        (("--output-file", "model.pt"), "score"),
    ):
        found = lab.json("find", *words)
        ids = sorted(row["job_id"] for row in found)
        assert sorted(row["job_id"] for row in lab.json("table", "--runs", *words)) == ids != []
        counts = [
            row["job_id"]
            for row in found
            if metric in row["metrics"] and ("--status" in words or row["status"] == "complete")
        ]
        best = lab.json("best", "--metric", metric, "--top", "9", *words)
        assert sorted(row["job_id"] for row in best) == sorted(counts) != []


def test_code_versions_that_are_taken_together_are_told(lab: Any) -> None:
    lab.cli("table", "--tag", "paper", "--by", "")
    assert "average runs of different code versions" in lab.stderr
    assert len(lab.json("table", "--tag", "paper", "--by", "code_commit")) == 2
    assert "code versions" not in lab.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "modl.depth"), "there are: model.depth"),
        (("--metric", "acuracy"), "there are: accuracy"),
        (("--sort", "-acuracy"), "there are: accuracy"),
        (("--since", "soon"), "time to look back to"),
    ],
)
def test_a_name_that_no_run_has(lab: Any, arguments: tuple[str, ...], said: str) -> None:
    lab.cli("table", *arguments, rc=2)
    assert said in lab.stderr
    assert lab.json("table", "--tag", "nope") == []
    assert "no run matches tag nope" in lab.stderr


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--metric", "accuracy"), ["cls1"]),
        (("--metric", "accuracy", "--mode", "min"), ["cls0"]),
        (("--metric", "accuracy", "--per", "condition"), ["cls1", "full1"]),
        (("--metric", "accuracy", "--per", "model.depth,lr"), ["full1", "cls1"]),
        (("--metric", "accuracy", "--top", "2"), ["cls1", "full1"]),
        (("--metric", "accuracy", "--metric", "loss<0.4"), ["full1"]),
        (("--metric", "accuracy", "--status", "failed"), ["failed"]),
        (("--metric", "accuracy", "--campaign", "wider", "--param", "lr=0.1"), ["full0"]),
        # Equal values share their rank; NaN is never the lowest.
        (("--metric", "loss", "--mode", "max"), ["cls1", "cls0"]),
        (("--metric", "loss", "--mode", "min", "--experiment", "E002"), []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_best(lab: Any, arguments: tuple[str, ...], names: list[str]) -> None:
    assert lab.names("best", *arguments) == names


def test_best_for_people_and_programs(lab: Any, tmp_path: Path) -> None:
    lines = lab.cli("best", "--metric", "accuracy", "--per", "condition").splitlines()
    assert lines[0].split() == ["condition", "RANK", "ID", "accuracy", "EXP", "CONFIGURATION"]
    assert lines[1].split()[:4] == ["cls", "1", lab.ids["cls1"][:8], "0.95"]
    assert lab.stderr == "highest accuracy of 5 run(s), 1 not complete\n"
    lab.cli("best", "--metric", "loss", "--mode", "min")
    assert lab.stderr == "lowest loss of 5 run(s), 1 not finite\n"
    (row,) = lab.json("best", "--metric", "accuracy")
    assert (row["value"], row["rank"], row["mode"]) == (0.95, 1, "max")
    made = list(csv.DictReader(io.StringIO(lab.cli("best", "--metric", "accuracy", "--csv"))))
    assert made[0]["job_id"] == lab.ids["cls1"]
    lab.cli("best", "--metric", "accuracy", "--parquet", str(tmp_path / "best.parquet"))
    assert lab.cli("best", "--metric", "accuracy", "--md").startswith("| rank | job_id |")


def test_best_says_why_there_is_none(lab: Any) -> None:
    lab.cli("best", "--metric", "acuracy", rc=2)
    assert "there are: accuracy" in lab.stderr
    lab.cli("best", "--metric", "loss", "--experiment", "E002")
    assert lab.stderr == "none of 2 run(s) is complete with a finite loss\n"
    lab.cli("best", "--metric", "accuracy", "--tag", "nope")
    assert lab.stderr == "no run matches tag nope\n"
    lab.cli("best", "--metric", "loss>1", rc=2)
    assert "give one --metric NAME" in lab.stderr
    lab.cli("best", "--metric", "a", "--metric", "b", rc=2)
    lab.cli("best", rc=2)


def record(name: int, seed: int, lr: Any, accuracy: Any) -> RunRecord:
    return RunRecord(
        f"{name:032x}", "E001", None, "complete", {"seed": seed, "lr": lr},
        {} if accuracy is None else {"accuracy": accuracy}, None, None, None,
    )  # fmt: skip


NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from(["NaN", "Infinity", None])
RUNS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0.1, 1, 1.0, "1", None, True]), NUMBERS),
    max_size=12,
).map(lambda found: [record(index, *values) for index, values in enumerate(found)])


@settings(deadline=None)
@given(RUNS)
def test_every_run_is_in_one_row(runs: list[RunRecord]) -> None:
    made = build_table(runs)
    assert sorted(one for row in made.rows for one in row.job_ids) == [run.job_id for run in runs]
    for row in made.rows:
        values = [run.metrics["accuracy"] for run in runs
                  if run.job_id in row.job_ids and "accuracy" in run.metrics]  # fmt: skip
        if values and all(isinstance(value, float) for value in values):
            assert row.metrics["accuracy"].mean == pytest.approx(statistics.fmean(values))
        elif values:
            assert row.metrics["accuracy"].mean is None


@settings(deadline=None)
@given(RUNS, st.sampled_from(["max", "min"]), st.integers(1, 4))
def test_nothing_is_better_than_the_best(runs: list[RunRecord], mode: str, top: int) -> None:
    values = [run.metrics.get("accuracy") for run in runs]
    finite = sorted((value for value in values if isinstance(value, float)), reverse=mode == "max")
    if all(value is None for value in values):
        return
    found = best_runs(runs, "accuracy", mode=mode, top=top)
    assert found.compared == len(finite)
    best = [one.value for one in found.best]
    assert best == [value for value in finite if finite.index(value) < top]
    assert [one.rank for one in found.best] == [finite.index(value) + 1 for value in best]


@settings(deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(0, 1e9) | st.none())
def test_a_mean_is_as_exact_as_its_deviation(mean: float, sd: float | None) -> None:
    shown = with_deviation(mean, sd)
    if sd is None:
        assert "±" not in shown
        return
    a, _, b = shown.partition(" ± ")
    assert float(b) == pytest.approx(sd, rel=0.06, abs=0.6 if sd > 10 else 0)
    assert math.isclose(float(a), mean, abs_tol=max(sd, abs(mean) * 1e-5))
