"""aexp find: each condition, what an empty answer says, and what is refused."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.catalogue import open_catalogue
from aexp.catalogue.comparison import Comparison, parse_comparison
from aexp.catalogue.filters import RunQuery, find_runs
from aexp.errors import UsageError

ODD_TAG = 'серия "x" | *y* <b>, z'
EVERY = ["queued", "away", "nan", "failed", "cls1", "cls0", "full2", "full1", "full0"]
FULL = ["full2", "full1", "full0"]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), EVERY),
        (("--limit", "2"), EVERY[:2]),
        (("--status", "failed"), ["failed"]),
        (("--status", "failed", "--status", "queued"), ["queued", "failed"]),
        (("--experiment", "E002"), ["away", "nan"]),
        (("--hypothesis", "H001", "--experiment", "E002"), ["away", "nan"]),
        (("--hypothesis", "H002"), []),
        (("--tag", "paper"), ["failed", "cls1", "cls0", *FULL]),
        (("--tag", ODD_TAG), ["away"]),
        (("--tag", "second"), ["away"]),
        (("--tag", "paper", "--tag", ODD_TAG, "--limit", "1"), ["away"]),
        (("--campaign", "wider"), ["cls1", "full0"]),
        (("--outcome", "diverged"), ["nan"]),
        (("--since", "24h"), ["queued", "away"]),
        (("--since", "2w"), ["queued", "away"]),
        (("--since", "2026-01-02", "--tag", "paper"), ["failed", "cls1", "cls0"]),
        (("--since", "2026-01-02T00:00:01", "--tag", "paper"), ["failed", "cls1"]),
        (("--param", "lr<0.1"), ["failed", "cls1", "cls0"]),
        (("--param", "lr <= 1e-1", "--metric", "accuracy>=0.92"), ["failed", "cls1", "full1"]),
        (("--param", "lr>0.01"), ["queued", *FULL]),
        (("--param", "lr=0.10", "--status", "complete"), FULL),
        (("--param", "lr!=0.1"), ["failed", "cls1", "cls0"]),
        (("--param", "condition=cls", "--param", "seed>=1"), ["failed", "cls1"]),
        (("--param", "condition~f*", "--status", "complete"), FULL),
        (("--param", "condition>c", "--param", "condition<d"), ["failed", "cls1", "cls0"]),
        (("--param", "model.depth==4"), ["failed", "cls1", "cls0"]),
        (("--param", "model=base"), ["queued"]),
        # A number finds the text that spells it; what is a text has no size.
        (("--param", "x=1"), ["away", "nan"]),
        (("--param", "x=1.0"), ["away"]),
        (("--param", "x<2"), ["away"]),
        (("--param", "flag=true"), ["nan"]),
        (("--param", "flag"), ["nan"]),
        (("--param", f"big={2**70}"), ["nan"]),
        (("--param", f"big={2**70 + 1}"), []),
        (("--param", "text=a=b<c"), ["away"]),
        (("--param", '"text" = a=b<c'), ["away"]),
        (("--metric", "accuracy>=0.95"), ["failed", "cls1"]),
        (("--metric", "accuracy"), ["failed", "cls1", "cls0", *FULL]),
        # NaN is neither more nor less than anything.
        (("--metric", "loss>0.4"), ["cls1", "cls0"]),
        (("--metric", "loss<100"), ["cls1", "cls0", *FULL]),
        (("--metric", "loss=nan"), ["nan"]),
        (("--metric", "loss!=nan"), ["cls1", "cls0", *FULL]),
        (("--metric", "score<inf"), ["away", "nan"]),
        (("--metric", "score=7"), ["nan"]),
        (("--slurm-job", "4711"), ["failed"]),
        (("--slurm-job", "4700"), ["failed"]),
        (("--slurm-job", "4700_12"), ["failed"]),
        (("--slurm-job", "4700_1"), []),
        (("--slurm-job", "_"), []),
        (("--slurm-job", "471"), []),
        (("--output-file", "results/model.pt"), ["away"]),
        (("--output-file", "model.pt"), ["away"]),
        (("--output-file", "*/model.*"), ["away"]),
        (("--output-file", "./results/../results/model.pt"), ["away"]),
        (("--output-file", "results/other.pt"), []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_conditions(lab: Any, arguments: tuple[str, ...], names: list[str]) -> None:
    assert lab.names("find", *arguments) == names


def test_a_file_is_found_by_its_content(lab: Any, tmp_path: Path) -> None:
    copy = tmp_path / "renamed.bin"
    copy.write_bytes(lab.weights)
    assert lab.names("find", "--output-file", str(copy)) == ["away"]
    copy.write_bytes(lab.weights + b"!")
    assert lab.names("find", "--output-file", str(copy)) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tag", "nope", "--since", "2026-01-01"), "no run matches tag nope, since 2026-01-01T"),
        (("--metric", "acuracy>0.9"), "no run has a metric acuracy; there are: accuracy"),
        (("--param", "lrr<1"), "no run has a parameter lrr; there are: lr"),
        (("--campaign", "wilder"), "there is no campaign wilder"),
        (("--status", "stopped"), "no run matches status stopped"),
        (("--tag", "a\x1b"), "cannot be a tag"),
    ],
)
def test_an_empty_answer_says_what_was_looked_for(
    lab: Any, arguments: tuple[str, ...], said: str
) -> None:
    assert lab.cli("find", *arguments, rc=2 if "cannot" in said else 0) == ""
    assert said in lab.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "2x"), "'2x' is not a time to look back to"),
        (("--since", "2026-02-31"), "write 30min, 24h, 7d, 2w, or a date"),
        (("--since", ""), "'' is not a time to look back to"),
        (("--hypothesis", ""), "is not a hypothesis id"),
        (("--metric", "acc>high"), "metrics are numbers"),
        (("--metric", "loss<nan"), "nothing is more or less than NaN"),
        (("--metric", "acc~0*"), "metrics are numbers"),
        (("--param", "lr<"), "has nothing to compare lr with"),
        (("--param", "<3"), "names nothing to compare"),
        (("--param", "lr<=>3"), "has two operators"),
        (("--param", '"lr'), "has no closing quote"),
        (("--param", '"lr" 3'), "has no comparison after the name"),
        (("--status", "done"), "Invalid value"),
        (("--experiment", "7"), "is not an experiment id"),
        (("--json", "--csv"), "exclude each other"),
        (("--limit", "0"), "Invalid value"),
    ],
)
def test_what_is_refused(lab: Any, arguments: tuple[str, ...], said: str) -> None:
    lab.cli("find", *arguments, rc=2)
    assert said in lab.stderr


def test_text_for_people(lab: Any) -> None:
    lines = lab.cli("find", "--experiment", "E002").splitlines()
    assert lines[0].split()[:6] == ["ID", "STATUS", "EXP", "TAG", "MACHINE", "OUTCOME"]
    assert [line.split()[0] for line in lines[1:]] == [
        lab.ids["away"][:8], lab.ids["nan"][:8],
    ]  # fmt: skip
    assert ODD_TAG in lines[1]
    assert "lab2" in lines[1]
    assert "here" in lines[2]  # the ledger alone tells of it
    assert lab.stderr == "2 run(s)\n"


def test_json_has_the_whole_run(lab: Any) -> None:
    (row,) = lab.json("find", "--outcome", "diverged")
    assert row["sp"] == {"experiment_id": "E002", "x": "1", "flag": True, "big": 2**70}
    assert row["metrics"] == {"loss": "NaN", "score": 7}
    assert (row["ended_at"], row["machine"]) == ("2026-01-04T00:00:00Z", "here")
    assert row["short_id"] == lab.ids["nan"][:8]


NAMES = st.text(min_size=1, max_size=8).map(str.strip).filter(lambda name: name and name[0] != '"')
VALUES = st.text(min_size=1, max_size=8).map(str.strip).filter(bool)


@settings(deadline=None)
@given(NAMES, st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~"]), VALUES)
def test_any_name_can_be_written(name: str, operator: str, value: str) -> None:
    """A name with operators in it is written as a JSON string; the rest is the value."""
    if value[0] in "<>=!~":
        return
    quoted = parse_comparison(f"{json.dumps(name)} {operator} {value}")
    assert quoted == Comparison(name, operator, value)
    if not set(name) & set("<>=!~"):
        assert parse_comparison(f"{name}{operator}{value}") == quoted


HOSTILE = st.one_of(
    st.sampled_from(["'", '"', "'; DROP TABLE runs; --", "\\", "%", "*", "[", "?", "1e999", "é"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
)


def test_values_of_users_are_data(lab: Any) -> None:
    """Whatever a value is, the question is answered, and the tables are there afterwards."""
    with open_catalogue(lab.repo) as catalogue:

        @settings(max_examples=40, deadline=None)
        @given(HOSTILE, st.sampled_from(["=", "!=", "<", ">", "~", ""]))
        def ask(text: str, operator: str) -> None:
            one = Comparison("lr", operator, text)
            query = RunQuery(
                tags=(text,), campaigns=(text,), outcomes=(text,), slurm_job=text,
                params=(one, Comparison(text)), output_file=text.replace("\0", ""),
            )  # fmt: skip
            assert find_runs(catalogue, query) == []
            find_runs(catalogue, RunQuery(params=(one,)))
            with suppress(UsageError):
                find_runs(catalogue, RunQuery(metrics=(one,)))

        ask()
        assert len(find_runs(catalogue, RunQuery())) == len(EVERY)
