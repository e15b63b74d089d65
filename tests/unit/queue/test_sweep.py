import itertools
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.errors import SweepSyntaxError
from aexp.queue.sweep import (
    Text,
    excludes,
    expand,
    parse_assignments,
    parse_sweep,
    parse_sweep_values,
    product,
    typed,
    zip_rows,
)

KEYS = st.from_regex(r"[a-zA-Zж-яé_][a-z0-9_]{0,6}", fullmatch=True)
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters=",|", exclude_categories=("C", "Z")), min_size=1
)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
quick = settings(max_examples=150, deadline=None)


def typed_all(mapping):
    return {key: typed(value) for key, value in mapping.items()}


class TestTyped:
    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("0", 0),
            ("-3", -3),
            ("+5", 5),
            ("007", 7),
            ("0.1", "0.1"),
            ("1e3", "1e3"),
            ("true", "true"),
            ("none", "none"),
            ("1_0", "1_0"),
            ("٣", "٣"),
            ("", ""),
        ],
    )
    def test_only_ascii_integers_become_ints(self, written, value):
        result = typed(Text(written))
        assert result == value
        assert type(result) is type(value)

    def test_typed_values_stay_as_they_are(self):
        assert typed("7") == "7"
        assert typed([Text("7")]) == ["7"]
        assert typed(None) is None

    def test_more_digits_than_python_reads_stay_text(self):
        assert typed(Text("9" * 5000)) == "9" * 5000


class TestAssignments:
    def test_the_words_of_the_queue_documentation(self):
        assert typed_all(parse_assignments("condition=full,seed=0")) == {
            "condition": "full",
            "seed": 0,
        }

    def test_blanks_and_extra_commas_do_not_matter(self):
        assert parse_assignments(" a = 1 ,, b= x y ,") == {"a": "1", "b": "x y"}
        assert parse_assignments("") == {}

    def test_values_keep_what_the_user_wrote(self):
        values = parse_assignments("id=007,eq=a=b,quote='x',empty=,either=a|b")
        assert values == {"id": "007", "eq": "a=b", "quote": "'x'", "empty": "", "either": "a|b"}
        assert all(isinstance(value, Text) for value in values.values())

    def test_json_gives_any_type_and_may_contain_commas(self):
        text = 'lr:=0.1,layers:=[1, 2],note:="a,b=c",on := true,nothing:=null,d:={"x": {"y": []}}'
        assert parse_assignments(text) == {
            "lr": 0.1,
            "layers": [1, 2],
            "note": "a,b=c",
            "on": True,
            "nothing": None,
            "d": {"x": {"y": []}},
        }

    def test_keys_in_any_script(self):
        assert parse_assignments("имя=1,größe=2,名=3") == {"имя": "1", "größe": "2", "名": "3"}

    @pytest.mark.parametrize(
        ("text", "column", "word"),
        [
            ("a=1,b", 5, "'b' has no '='"),
            ("a.b=1", 1, "has a dot"),
            ("a=1, a=2", 6, "given twice"),
            ("=1", 1, "empty"),
            ("a=1,max-turns=2", 5, "max-turns"),
            ("1a=1", 1, "1a"),
            ("a=x\x00y", 3, "control character"),
            ("a=x\x1b[31m", 3, "control character"),
            ("a=\udce9", 3, "UTF-8"),
            ("a:=", 4, "Expecting value"),
            ("a:=abc", 4, "Expecting value"),
            ("a:=[1,", 7, "Expecting value"),
            ("a:=1 2", 6, "after a JSON value"),
            ("a:=1|2", 5, "after a JSON value"),
            ("a:=NaN", 4, "not a finite number"),
            ("a:=-Infinity", 4, "not a finite number"),
            ("a:=1e999", 4, "not a finite number"),
            ('a:={"b.c":1}', 4, "has a dot"),
            ('a:=[{"b.c":1}]', 4, "has a dot"),
            ('a:={"b":1,"b":2}', 4, "given twice"),
            (r'a:="\ud800"', 4, "UTF-8"),
            (r'a:="\u0000"', 4, "NUL"),
            ("a:=" + "[" * 100_000, 4, "nested"),
            ("a:=" + "[" * 40 + "]" * 40, 4, "nested"),
            ("a:=" + "9" * 5000, 4, "digits"),
        ],
    )
    def test_a_mistake_is_pointed_at(self, text, column, word):
        with pytest.raises(SweepSyntaxError) as caught:
            parse_assignments(text)
        assert word in caught.value.message
        assert f"(column {column} of " in caught.value.message
        assert len(caught.value.message) < 300

    def test_a_value_with_a_comma_is_explained(self):
        with pytest.raises(SweepSyntaxError) as caught:
            parse_assignments("note=a,b")
        assert ":=" in (caught.value.hint or "")

    def test_messages_never_carry_control_characters(self):
        with pytest.raises(SweepSyntaxError) as caught:
            parse_assignments("\x1b[2J=1")
        assert "\x1b" not in caught.value.message

    @quick
    @given(st.dictionaries(KEYS, WORDS, max_size=4))
    def test_plain_round_trip(self, wanted):
        text = ",".join(f"{key}={value}" for key, value in wanted.items())
        assert parse_assignments(text) == wanted

    @quick
    @given(st.dictionaries(KEYS, JSON_VALUES, max_size=4))
    def test_json_round_trip(self, wanted):
        text = " , ".join(f"{key} := {json.dumps(value)}" for key, value in wanted.items())
        result = parse_assignments(text)
        assert json.dumps(result) == json.dumps(wanted)


class TestSweep:
    def test_the_words_of_the_queue_documentation(self):
        assert parse_sweep("condition=full|cls, seed=0..3") == {
            "condition": ["full", "cls"],
            "seed": [0, 1, 2, 3],
        }

    def test_other_numbers_need_json(self):
        assert parse_sweep("a=0.1|true|none") == {"a": ["0.1", "true", "none"]}
        assert parse_sweep("lr:=0.1 | 0.01, use:=true|null, l:=[1,2]|[], s:=7") == {
            "lr": [0.1, 0.01],
            "use": [True, None],
            "l": [[1, 2], []],
            "s": [7],
        }

    def test_ranges(self):
        assert parse_sweep("a=-2..1")["a"] == [-2, -1, 0, 1]
        assert parse_sweep("a=3..3")["a"] == [3]
        assert parse_sweep("a= +1 .. 2 |10|20..21")["a"] == [1, 2, 10, 20, 21]
        assert parse_sweep("a=1...3|x..y|1..")["a"] == ["1...3", "x..y", "1.."]

    def test_untyped_values_are_text_as_written(self):
        values = parse_sweep_values("id=007|8, seed=1..2")
        assert values == {"id": ["007", "8"], "seed": ["1", "2"]}
        assert all(isinstance(item, Text) for item in itertools.chain(*values.values()))

    @pytest.mark.parametrize(
        ("text", "word"),
        [
            ("a=1||2", "empty alternative"),
            ("a=", "empty alternative"),
            ("a=1|", "empty alternative"),
            ("a=|1,b=2", "empty alternative"),
            ("a:=1|", "Expecting value"),
            ("a=1,a=2", "given twice"),
            ("a=1,a:=2", "given twice"),
            ("a=5..1", "backwards"),
            ("a=0..1000000", "limit"),
            ("a=0.." + "9" * 5000, "digits"),
            ("a=1,2", "no '='"),
        ],
    )
    def test_mistakes(self, text, word):
        with pytest.raises(SweepSyntaxError, match="column") as caught:
            parse_sweep(text)
        assert word in caught.value.message

    @quick
    @given(st.text() | st.text("ab=:|.,-01 []{}\"'\\\n", max_size=30))
    def test_any_text_parses_or_says_why(self, text):
        for parse in (parse_assignments, parse_sweep_values):
            parsed, message = {}, "column"
            try:
                parsed = parse(text)
            except SweepSyntaxError as error:
                message = error.message
            assert "column" in message
            assert all(key.isidentifier() for key in parsed)
            assert json.dumps(parsed, allow_nan=False)

    @quick
    @given(
        st.dictionaries(
            KEYS, st.lists(WORDS.filter(lambda w: ".." not in w), min_size=1), max_size=3
        )
    )
    def test_round_trip(self, wanted):
        text = ",".join(f"{key}={'|'.join(values)}" for key, values in wanted.items())
        assert parse_sweep_values(text) == wanted


class TestProductAndZip:
    def test_the_last_key_changes_fastest(self):
        assert list(product({"a": [1, 2], "b": ["x", "y"]})) == [
            {"a": 1, "b": "x"},
            {"a": 1, "b": "y"},
            {"a": 2, "b": "x"},
            {"a": 2, "b": "y"},
        ]
        assert list(product({})) == [{}]

    def test_zip_goes_by_position(self):
        assert zip_rows("a=1..3, b=x|y|z") == [
            {"a": "1", "b": "x"},
            {"a": "2", "b": "y"},
            {"a": "3", "b": "z"},
        ]

    def test_zip_of_unequal_lengths_names_them(self):
        with pytest.raises(SweepSyntaxError, match="a has 3, b has 2"):
            zip_rows("a=1|2|3,b=x|y")

    def test_an_empty_zip_is_a_mistake(self):
        with pytest.raises(SweepSyntaxError, match="empty"):
            zip_rows(" ")


class TestExcludes:
    @pytest.mark.parametrize(
        ("text", "combination", "expected"),
        [
            ("a=1", {"a": 1}, True),
            ("a=1", {"a": Text("1")}, True),
            ("a=1", {"a": "1"}, True),
            ("a=01", {"a": Text("1")}, True),
            ("a=1", {"a": 2}, False),
            ("a=1,b=x", {"a": 1, "b": "x"}, True),
            ("a=1,b=x", {"a": 1, "b": "y"}, False),
            ("a=1,b=x", {"a": 1}, False),
            ("a=0.1", {"a": 0.1}, True),
            ("a=1e-5", {"a": 0.00001}, True),
            ("a:=0.1", {"a": Text("0.1")}, True),
            ("a:=1", {"a": 1.0}, True),
            ("a=true", {"a": True}, True),
            ("a=1", {"a": True}, False),
            ("a=null", {"a": None}, True),
            ("a:=[1,2]", {"a": [1, 2]}, True),
            ("a=0..3|9", {"a": 9}, True),
            ("a=0..3|9", {"a": 4}, False),
            ("a=x", {"a": 1.5}, False),
        ],
    )
    def test_what_matches(self, text, combination, expected):
        assert excludes([text])(combination) is expected

    def test_any_of_several_texts_excludes(self):
        is_excluded = excludes(["a=1", "b=2"])
        assert is_excluded({"a": 0, "b": 2})
        assert not is_excluded({"a": 0, "b": 0})
        assert not excludes([])({"a": 1})

    def test_an_empty_text_does_not_exclude_everything(self):
        with pytest.raises(SweepSyntaxError, match="empty"):
            excludes([" , "])


class TestExpand:
    def test_sources_multiply_in_written_order(self):
        rows = [{"f": 1}, {"f": 2}]
        result = expand({"x": "b"}, "s=0|1", ["a=1|2,b=p|q"], rows)
        assert result[:3] == [
            {"x": "b", "f": 1, "a": "1", "b": "p", "s": "0"},
            {"x": "b", "f": 1, "a": "1", "b": "p", "s": "1"},
            {"x": "b", "f": 1, "a": "2", "b": "q", "s": "0"},
        ]
        assert len(result) == 8
        assert [*result[0]] == ["x", "f", "a", "b", "s"]
        assert result[4]["f"] == 2

    def test_nothing_swept_is_one_run(self):
        assert expand({"a": Text("1")}) == [{"a": "1"}]
        assert expand({}, "") == [{}]

    def test_excluded_combinations_are_left_out(self):
        result = expand({"m": "x"}, "a=0..2,b=0..2", exclude=["a=1", "b=2,m=x"])
        assert [typed_all(item) for item in result] == [
            {"m": "x", "a": a, "b": b} for a in (0, 2) for b in (0, 1)
        ]

    def test_an_excluded_key_that_nothing_has_is_a_typo(self):
        with pytest.raises(SweepSyntaxError, match="'sead'") as caught:
            expand({}, "seed=0..2", exclude=["sead=1"])
        assert "seed" in (caught.value.hint or "")

    def test_a_key_of_only_some_rows_can_be_excluded(self):
        assert expand({}, rows=[{"a": 1}, {"b": 2}], exclude=["b=2"]) == [{"a": 1}]

    @pytest.mark.parametrize(
        ("arguments", "sources"),
        [
            (({"a": 1}, "a=1|2"), "--sp and --sweep"),
            (({}, "a=1", ["a=1|2"]), "--zip and --sweep"),
            (({}, None, ["a=1|2", "a=3|4"]), "two --zip"),
            (({}, "a=1", (), [{"b": 1}, {"a": 2}]), "the sweep file and --sweep"),
            (({"a": 1}, None, (), [{"a": 2}]), "--sp and the sweep file"),
        ],
    )
    def test_a_key_from_two_sources_is_ambiguous(self, arguments, sources):
        with pytest.raises(SweepSyntaxError, match=sources):
            expand(*arguments)

    def test_an_absurd_grid_is_refused_at_once(self):
        started = time.monotonic()
        with pytest.raises(SweepSyntaxError, match="1000000000 runs"):
            expand({}, "a=0..999,b=0..999,c=0..999")
        assert time.monotonic() - started < 1

    def test_the_cost_is_linear(self):
        def seconds(text):
            started = time.process_time()
            count = len(expand({"x": Text("1")}, text, exclude=["a=3,b=4"]))
            return count, time.process_time() - started

        seconds("a=0..9,b=0..9")
        small, few = seconds("a=0..99,b=0..99")
        large, many = seconds("a=0..999,b=0..99")
        assert (small, large) == (9_999, 99_999)
        assert many < 40 * few + 0.5
