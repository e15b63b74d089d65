import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.errors import ParameterError
from aexp.kb.parameters import TYPES, parse_schema
from aexp.kb.values import Text, key_problem, parse_json, value_problem

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
WHERE = "kb/research/experiments/E001-x.md"


def apply(raw, sp, extra=()):
    schema = parse_schema(raw, WHERE)
    assert schema is not None
    return schema.apply(sp, extra)


def refusal(call, *arguments):
    with pytest.raises(ParameterError) as caught:
        call(*arguments)
    assert WHERE in caught.value.message
    return f"{caught.value.message} | {caught.value.hint}"


class TestCoercion:
    @pytest.mark.parametrize(
        ("kind", "given", "stored"),
        [
            ("int", Text("7"), 7),
            ("int", Text("-007"), -7),
            ("int", 7, 7),
            ("float", Text("0.1"), 0.1),
            ("float", Text("1e-4"), 0.0001),
            ("float", Text("3"), 3.0),
            ("float", 3, 3.0),
            ("float", "1e-4", 0.0001),
            ("bool", Text("true"), True),
            ("bool", Text("False"), False),
            ("bool", True, True),
            ("str", Text("007"), "007"),
            ("str", Text("true"), "true"),
            ("str", Text(""), ""),
            ("str", "x", "x"),
            ("list", Text('[1, "a"]'), [1, "a"]),
            ("list", [1], [1]),
            ("dict", Text('{"a": 0.5}'), {"a": 0.5}),
            ("dict", {"a": 1}, {"a": 1}),
            ("any", Text("7"), 7),
            ("any", Text("0.1"), "0.1"),
            ("any", None, None),
            ("any", [1], [1]),
        ],
    )
    def test_a_value_gets_the_declared_type(self, kind, given, stored):
        result = apply({"p": kind}, {"p": given})["p"]
        assert result == stored
        assert type(result) is type(stored)

    @pytest.mark.parametrize(
        ("kind", "given"),
        [
            ("int", Text("0.1")),
            ("int", Text("1e6")),
            ("int", Text("٣")),
            ("int", Text("9" * 5000)),
            ("int", True),
            ("int", 3.0),
            ("int", "7"),
            ("int", None),
            ("float", Text("fast")),
            ("float", Text("nan")),
            ("float", Text("inf")),
            ("float", Text("1e999")),
            ("float", Text("1_0")),
            ("float", float("nan")),
            ("float", float("-inf")),
            ("float", 10**400),
            ("float", True),
            ("bool", Text("1")),
            ("bool", Text("yes")),
            ("bool", 1),
            ("str", 7),
            ("str", None),
            ("str", Text("a\x00b")),
            ("list", Text("1,2")),
            ("list", Text("[1] [2]")),
            ("list", Text("[NaN]")),
            ("list", Text('{"a": 1}')),
            ("list", "[1]"),
            ("dict", Text('{"a.b": 1}')),
            ("dict", []),
            ("any", float("inf")),
            ("any", {1: 2}),
            ("any", {1, 2}),
        ],
    )
    def test_a_value_of_another_type_is_refused(self, kind, given):
        assert " p: " in refusal(apply, {"p": kind}, {"p": given})

    def test_the_hint_of_a_list_shows_how_to_write_one(self):
        assert ":=" in refusal(apply, {"p": "list"}, {"p": Text("1,2")})

    def test_long_and_odd_values_do_not_spoil_the_message(self):
        message = refusal(apply, {"p": "int"}, {"p": "\x1b[31m" + "x" * 10_000})
        assert message.isprintable()
        assert len(message) < 400


class TestRestrictions:
    def test_choices(self):
        raw = {"opt": {"type": "str", "choices": ["sgd", "adam"]}}
        assert apply(raw, {"opt": Text("adam")}) == {"opt": "adam"}
        assert '"sgd", "adam"' in refusal(apply, raw, {"opt": Text("adan")})

    def test_choices_are_compared_in_the_declared_type(self):
        raw = {"lr": {"type": "float", "choices": [1, "1e-4"]}}
        assert apply(raw, {"lr": Text("1.0")}) == {"lr": 1.0}
        assert apply(raw, {"lr": Text("0.0001")}) == {"lr": 0.0001}

    def test_true_is_not_the_choice_1(self):
        assert apply({"p": {"type": "any", "choices": [1, 2]}}, {"p": 1}) == {"p": 1}
        assert "not one of" in refusal(apply, {"p": {"choices": [1, 2]}}, {"p": True})

    def test_limits_are_inclusive(self):
        raw = {"lr": {"type": "float", "min": 0, "max": 1}}
        assert apply(raw, {"lr": 0}) == {"lr": 0.0}
        assert apply(raw, {"lr": Text("1")}) == {"lr": 1.0}
        assert "minimum 0" in refusal(apply, raw, {"lr": Text("-0.1")})
        assert "maximum 1" in refusal(apply, raw, {"lr": 1.1})


class TestKeys:
    def test_defaults_come_after_the_given_keys_in_declared_order(self):
        raw = {
            "a": {"type": "int", "default": 1},
            "b": "int",
            "c": {"type": "str", "default": "x"},
        }
        result = apply(raw, {"b": Text("2")})
        assert list(result.items()) == [("b", 2), ("a", 1), ("c", "x")]

    def test_a_default_is_stored_in_the_declared_type(self):
        result = apply({"lr": {"type": "float", "default": 1}}, {})
        assert json.dumps(result) == '{"lr": 1.0}'
        # What YAML 1.1 makes of an unquoted 1e-4.
        assert apply({"lr": {"type": "float", "default": "1e-4"}}, {}) == {"lr": 0.0001}

    def test_runs_do_not_share_a_default_list(self):
        schema = parse_schema({"l": {"type": "list", "default": [1]}}, WHERE)
        assert schema is not None
        schema.apply({})["l"].append(2)
        assert schema.apply({}) == {"l": [1]}

    def test_missing_parameters_are_all_named(self):
        message = refusal(apply, {"a": "int", "b": "str", "c": {"default": 1}}, {})
        assert "no value for a, b" in message

    def test_an_optional_parameter_may_be_absent(self):
        assert apply({"a": {"type": "int", "required": False}}, {}) == {}

    def test_null_is_accepted_where_it_is_the_default(self):
        raw = {"a": {"type": "int", "default": None}}
        assert apply(raw, {}) == {"a": None}
        assert apply(raw, {"a": None}) == {"a": None}
        assert apply(raw, {"a": Text("3")}) == {"a": 3}

    def test_a_misspelt_key_is_refused_with_the_closest_name(self):
        message = refusal(apply, {"learning_rate": "float"}, {"learnign_rate": Text("0.1")})
        assert "unknown parameter 'learnign_rate'" in message
        assert "did you mean learning_rate?" in message

    def test_a_foreign_key_is_refused_with_the_declared_names(self):
        assert "declared parameters: lr, seed" in refusal(
            apply, {"lr": "float", "seed": "int"}, {"zzzz": 1}
        )

    def test_extra_keys_are_typed_like_undeclared_ones(self):
        result = apply({"a": "int"}, {"a": 1, "turns": Text("3"), "c": Text("x")}, {"turns", "c"})
        assert result == {"a": 1, "turns": 3, "c": "x"}

    def test_a_declared_key_wins_over_an_extra_one(self):
        assert apply({"v": "str"}, {"v": Text("007")}, {"v"}) == {"v": "007"}


class TestDeclaration:
    def test_no_block_means_no_schema(self):
        assert parse_schema(None, WHERE) is None
        assert parse_schema({}, WHERE) is None

    def test_the_type_may_be_left_out(self):
        assert apply({"a": {"default": [1]}}, {}) == {"a": [1]}

    @pytest.mark.parametrize(
        ("raw", "word"),
        [
            ([], "not a mapping"),
            ("lr", "not a mapping"),
            ({"lr": "flaot"}, "unknown type 'flaot'"),
            ({"lr": ["float"]}, "neither a type nor a mapping"),
            ({"lr": None}, "neither a type nor a mapping"),
            ({"lr": {"type": ["float"]}}, "unknown type"),
            ({"lr": {"type": "float", "defualt": 1}}, "meant default?"),
            ({"lr": {"type": "float", 3: 1}}, "unknown field 3"),
            ({"lr": {"type": "float", "default": "fast"}}, "default"),
            ({"lr": {"type": "float", "default": float("nan")}}, "finite"),
            ({"n": {"type": "int", "default": True}}, "default"),
            ({"n": {"type": "int", "default": 5, "max": 4}}, "maximum 4"),
            ({"n": {"type": "int", "default": 5, "choices": [1, 2]}}, "not one of 1, 2"),
            ({"n": {"type": "int", "choices": [1, "x"]}}, "choices"),
            ({"n": {"type": "int", "choices": []}}, "choices"),
            ({"n": {"type": "int", "choices": 3}}, "choices"),
            ({"n": {"type": "int", "choices": [9], "max": 4}}, "maximum 4"),
            ({"n": {"type": "int", "min": 2, "max": 1}}, "min 2 is more than max 1"),
            ({"n": {"type": "int", "min": True}}, "min"),
            ({"n": {"type": "int", "max": "many"}}, "max"),
            ({"n": {"type": "float", "max": float("inf")}}, "max"),
            ({"n": {"type": "str", "min": 1}}, "min needs the type int or float"),
            ({"n": {"type": "int", "required": "yes"}}, "required"),
            ({"n": {"type": "int", "required": True, "default": 1}}, "cannot be required"),
            ({"a.b": "int"}, "has a dot"),
            ({"a b": "int"}, "one word"),
            ({1: "int"}, "is not text"),
        ],
    )
    def test_a_block_that_contradicts_itself_is_refused(self, raw, word):
        message = refusal(parse_schema, raw, WHERE)
        assert word in message
        if isinstance(raw, dict):
            assert f"parameters.{next(iter(raw))}" in message


YAMLISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "choices", "default", "required", "min", "max", "a"]), inner
        )
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "lr"]), st.sampled_from(TYPES) | YAMLISH),
    st.dictionaries(st.sampled_from(["a", "lr", "z"]), YAMLISH | st.text(max_size=5).map(Text)),
)
def test_any_block_and_values_give_json_or_a_reason(raw, sp):
    message = WHERE
    try:
        schema = parse_schema(raw, WHERE)
        if schema is not None:
            result = schema.apply(sp, {"z"} if value_problem(sp.get("z")) is None else ())
            assert json.dumps(result, allow_nan=False)
            assert schema.apply(result, {"z"}) == result
    except ParameterError as error:
        message = error.message
    assert message.startswith(WHERE)
    assert not CONTROL.search(message)


class TestValues:
    @pytest.mark.parametrize("key", ["lr", "_x", "имя", "größe", "नाम", "a1"])
    def test_words_are_keys(self, key):
        assert key_problem(key) is None

    @pytest.mark.parametrize(
        "key", ["", "a.b", "a-b", "1a", "a b", "a\n", "{a}", "\udce9", 3, None]
    )
    def test_anything_else_is_not(self, key):
        assert key_problem(key)

    def test_json_text_may_have_lines_where_plain_text_may_not(self):
        assert value_problem("two\nlines") is None
        assert value_problem(Text("two\nlines"))

    def test_json_is_read_out_of_a_longer_text(self):
        assert parse_json('x= [1, "]"] ,y', 2) == ([1, "]"], 12)

    @settings(max_examples=150, deadline=None)
    @given(st.text('[]{}":,1e-.ntrueaN \\ud8', max_size=30))
    def test_what_json_lets_in_can_be_stored(self, text):
        try:
            value, _ = parse_json(text)
        except ValueError:
            return
        assert json.loads(json.dumps(value, allow_nan=False)) == value
