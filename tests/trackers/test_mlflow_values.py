"""What MLflow takes: names, texts, numbers, filters; held against MLflow's own checks."""

import json
import math
import posixpath
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.trackers.mlflow import values as values

NAMES = st.text(max_size=400)
# MLflow's rule for names (mlflow.utils.validation), in its strictest version.
ALLOWED = re.compile(r"[/\w.\- ]+")


@given(NAMES)
def test_every_name_becomes_one_that_mlflow_takes(name: str) -> None:
    found = values.metric_name(name)
    assert ALLOWED.fullmatch(found)
    assert posixpath.normpath(found) == found
    assert not found.startswith(("/", ".."))
    assert found != "."
    assert len(found.encode()) <= 250
    assert values.metric_name(found) == found
    assert "/" not in values.pair_name(name)


@pytest.mark.parametrize("name", ["loss", "val/loss", "top-1 acc", "a.b_c"])
def test_an_ordinary_name_stays(name: str) -> None:
    assert values.metric_name(name) == name


def test_long_names_that_begin_alike_stay_apart() -> None:
    one, other = (values.metric_name("x" * 300 + end) for end in "ab")
    assert one != other


def test_what_is_a_number_in_a_row() -> None:
    row: dict[str, Any] = {
        "loss": 0.5,
        "n": 3,
        "ok": True,
        "text": "no",
        "nothing": None,
        "list": [1, 2],
        "val": {"acc": 0.9, "deep": {"er": 1}},
        "nan": "NaN",
        "up": "Infinity",
        "down": float("-inf"),
        "huge": 10**400,
    }
    found = values.numbers(row)
    assert math.isnan(found.pop("nan"))
    assert found == {
        "loss": 0.5,
        "n": 3.0,
        "ok": 1.0,
        "val.acc": 0.9,
        "val.deep.er": 1.0,
        "up": math.inf,
        "down": -math.inf,
        "huge": math.inf,
    }


@given(st.floats(), st.floats())
def test_numbers_are_compared_as_a_database_keeps_them(one: float, other: float) -> None:
    assert values.same_number(one, one)
    if math.isfinite(one) and math.isfinite(other) and one != other:
        assert not values.same_number(one, other)
    assert values.same_number(math.inf, 1.7976931348623157e308)


def test_params_are_the_state_point_and_tags_what_may_be_edited() -> None:
    config = {
        "lr": 0.1,
        "model": {"name": "resnet", "layers": [1, 2]},
        "text": "x" * 7000,
        "none": None,
        "job_id": "0" * 32,
        "aexp": {"experiment_id": "E001", "hypothesis_id": None},
        "frame": {"experiment_title": "Ä title"},
    }
    params = values.params(config)
    assert params["lr"] == "0.1"
    assert params["model.name"] == "resnet"
    assert params["model.layers"] == "[1, 2]"
    assert params["none"] == "null"
    assert params["job_id"] == "0" * 32
    assert len(params["text"]) == 6000
    assert not any(key.startswith(("aexp", "frame")) for key in params)
    labels = ["kind=experiment", "E001", "condition=a=b", "odd:label/x"]
    tags = values.tags(config, labels, group="_/E001/full", notes="# n")
    assert tags["kind"] == "experiment"
    assert tags["condition"] == "a=b"
    assert tags["E001"] == tags["odd_label.x"] == "true"
    assert tags["aexp.experiment_id"] == "E001"
    assert tags["frame.experiment_title"] == "Ä title"
    assert tags["aexp.group"] == "_/E001/full"
    assert tags["mlflow.note.content"] == "# n"
    assert values.labels(tags["aexp.tags"]) == labels
    assert values.labels("{") == values.labels(json.dumps({"a": 1})) == []


def test_params_whose_names_become_the_same_are_both_kept() -> None:
    assert values.params({"a:b": 1, "a?b": 2, "a/b": 3}) == {"a_b": "1", "a_b_2": "2", "a.b": "3"}


@given(st.text(max_size=40), st.text(max_size=10))
def test_a_group_filter_finds_at_least_the_groups_with_that_prefix(prefix: str, end: str) -> None:
    found = re.fullmatch(r"tags\.`aexp\.group` LIKE '([^']*)%'", values.group_filter(prefix))
    assert found is not None
    pattern = found[1] + "%"
    assert pattern.isascii()
    assert pattern.isprintable()
    # As MLflow's databases and its files read it: % is any text, _ any one character.
    regex = "".join({"%": ".*", "_": "."}.get(one, re.escape(one)) for one in pattern)
    assert re.fullmatch(regex, prefix + end, re.DOTALL)


@given(st.lists(st.from_regex(r"[abx.](/[abx.]){0,3}", fullmatch=True), max_size=12))
def test_metrics_in_files_never_exclude_each_other(names: list[str]) -> None:
    stored: dict[str, str] = {}
    for name in names:
        if name not in stored:
            stored[name] = values.alias(name, stored.values())
    files = list(stored.values())
    assert len(set(files)) == len(files)
    assert not any(two.startswith(one + "/") for one in files for two in files)
    assert values.alias("loss", ["loss"]) == "loss"


@pytest.mark.parametrize(
    ("code", "word"),
    [(0, "FINISHED"), (1, "FAILED"), (75, "FAILED"), (-15, "KILLED"), (143, "KILLED")],
)
def test_words_for_ends(code: int, word: str) -> None:
    assert values.status(code) == word
