import io
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aexp.errors import SweepSyntaxError, UsageError
from aexp.kb.values import Text
from aexp.queue.sweep_file import read_rows

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


@pytest.fixture
def read(tmp_path):
    def read_text(name, content, **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_rows(str(path), **options)

    return read_text


def read_stdin(content, **options):
    return read_rows("-", stdin=io.StringIO(content), **options)


class TestYaml:
    def test_a_list_of_mappings_is_the_rows(self, read):
        content = "- {seed: 0, lr: 0.1}\n- seed: 1\n  tools: [a, b]\n  deep: {x: null}\n"
        assert read("s.yaml", content) == [
            {"seed": 0, "lr": 0.1},
            {"seed": 1, "tools": ["a", "b"], "deep": {"x": None}},
        ]

    def test_a_mapping_of_lists_is_a_grid(self, read):
        assert read("s.yml", "seed: [0, 1]\nmode:\n- a\n- b\n") == [
            {"seed": 0, "mode": "a"},
            {"seed": 0, "mode": "b"},
            {"seed": 1, "mode": "a"},
            {"seed": 1, "mode": "b"},
        ]

    def test_numbers_with_an_exponent_are_numbers(self, read):
        (row,) = read("s.yaml", '- {a: 1e-4, b: -2E3, c: "1e-4", d: 1e-4x, e: .5e1}')
        assert row == {"a": 0.0001, "b": -2000.0, "c": "1e-4", "d": "1e-4x", "e": 5.0}

    def test_dates_are_iso_text(self, read):
        (row,) = read("s.yaml", "- {day: 2024-01-02, at: 2024-01-02T03:04:05Z}")
        assert row == {"day": "2024-01-02", "at": "2024-01-02T03:04:05Z"}

    def test_the_text_tag_keeps_digits_as_text(self, read):
        assert read("s.yaml", "- {a: !!str 007, b: '7'}") == [{"a": "007", "b": "7"}]

    def test_reading_leaves_the_users_yaml_library_alone(self, read):
        import yaml

        read("s.yaml", "- {a: 1e-4}")
        assert yaml.safe_load("a: 1e-4") == {"a": "1e-4"}

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("a: &x [1]\nb: *x", ["line 1", "anchors"]),
            ("- {a: 1}\n- *y", ["line 2", "aliases"]),
            ("a: [1]\na: [2]", ["line 2", "'a' is given twice"]),
            ("- {a: {b: 1, b: 2}}", ["'b' is given twice"]),
            ("- {a: !!python/object/apply:os.system [id]}", ["python/object", "not allowed"]),
            ("- {a: !!timestamp x}", ["not allowed"]),
            ("- {a: !!set {x}}", ["not allowed"]),
            ("- {a: .nan}", ["row 1", "a:", "finite"]),
            ("a: [1, .inf]", ["a:", "finite"]),
            ("- {a.b: 1}", ["row 1", "'a.b' has a dot"]),
            ("- {a: {x.y: 1}}", ["'x.y' has a dot"]),
            ("- {a-b: 1}", ["a-b"]),
            ("- {1: 1}", ["key 1 is not text"]),
            ("- {? [a] : 1}", ["is not text"]),
            ("- {a: 1}\n- 5", ["row 2 is not a mapping"]),
            ("a: 1", ["a is not a list"]),
            ("a: []", ["a is not a list"]),
            ("just text", ["not a table"]),
            ("--- [{a: 1}]\n--- [{a: 2}]", ["more than one YAML document"]),
            ("- {a: [1,}", ["not valid YAML", "line 1"]),
            ("- {<<: {a: 1}}", ["not valid YAML"]),
            ("- {a: " + "9" * 5000 + "}", ["not valid YAML"]),
            ("- {a: 0x" + "f" * 5000 + "}", ["too many digits"]),
            ("", ["no rows"]),
            ("# only a comment\n", ["no rows"]),
            ("[]", ["no rows"]),
            ("{}", ["no rows"]),
            ("- " * 5000 + "a", ["nested"]),
            ("{a: " * 50_000, ["nested"]),
            ("x: [0]\n" + "".join(f"k{n}: {list(range(10))}\n" for n in range(9)), ["1000000000"]),
        ],
    )
    def test_mistakes_are_named_with_their_file(self, read, content, words):
        with pytest.raises(SweepSyntaxError) as caught:
            read("sweep.yaml", content)
        assert "sweep.yaml" in caught.value.message
        for word in words:
            assert word in caught.value.message


class TestJson:
    def test_rows_and_grid(self, read):
        assert read("s.json", '[{"a": 1e-4,\t"b": [1]}]\n') == [{"a": 0.0001, "b": [1]}]
        assert read("s.json", '{"a": [true, null]}') == [{"a": True}, {"a": None}]

    @pytest.mark.parametrize(
        "content",
        ["[{'a': 1}]", "- {a: 1}", '[{"a": NaN}]', '[{"a": 1, "a": 2}]', "[" * 100_000, "[] []"],
    )
    def test_mistakes(self, read, content):
        with pytest.raises(SweepSyntaxError, match=r"s\.json is not JSON"):
            read("s.json", content)


class TestCsv:
    def test_cells_are_text_as_written_and_empty_ones_absent(self, read):
        rows = read("s.csv", "seed, name ,lr\r\n007,a b,\r\n\r\n,,\r\n8,,0.1\r\n")
        assert rows == [{"seed": "007", "name": "a b"}, {"seed": "8", "lr": "0.1"}]
        assert all(isinstance(cell, Text) for row in rows for cell in row.values())

    def test_quoted_commas_and_a_byte_order_mark(self, read):
        assert read("s.csv", b'\xef\xbb\xbfa,b\n"1,2","say ""x"""\n') == [
            {"a": "1,2", "b": 'say "x"'}
        ]

    @pytest.mark.parametrize(
        ("content", "word"),
        [
            ("a,b\n1\n", "line 2 has 1 cells, the header has 2"),
            ("a\n1,2\n", "line 2 has 2 cells"),
            ("a,a\n1,2\n", "'a' is given twice"),
            ("a.b\n1\n", "has a dot"),
            ("a,\n1,2\n", "the name is empty"),
            ('a\n"x\ny"\n', "control character"),
            ('a\n"x\n', "line 2"),
            ("a\nx\x00\n", "line 2"),
            ("a,b\n", "no rows"),
        ],
    )
    def test_mistakes(self, read, content, word):
        with pytest.raises(SweepSyntaxError) as caught:
            read("s.csv", content)
        assert word in caught.value.message


class TestSources:
    def test_standard_input_is_yaml_or_json(self):
        assert read_stdin("- {a: 1}") == [{"a": 1}]
        assert read_stdin('[{"a": 1e-4}]') == [{"a": 0.0001}]
        assert read_stdin("a,b\n1,2", format="csv") == [{"a": "1", "b": "2"}]

    def test_the_format_overrides_the_ending(self, read):
        assert read("s.txt", "a\n1\n", format="csv") == [{"a": "1"}]

    def test_a_name_without_ending_is_yaml(self, read):
        assert read("63", "a: [1]") == [{"a": 1}]

    def test_an_unknown_format_is_refused(self, read):
        with pytest.raises(UsageError, match="format is not known"):
            read("s.xlsx", "a")
        with pytest.raises(UsageError, match="format is not known"):
            read("s.yaml", "a: [1]", format="toml")

    @pytest.mark.parametrize("name", ["s.yaml", "s.json", "s.csv"])
    @pytest.mark.parametrize("content", ["größe\n1".encode("latin-1"), "a".encode("utf-16")])
    def test_other_encodings_are_refused_with_advice(self, read, name, content):
        with pytest.raises(SweepSyntaxError, match="not UTF-8") as caught:
            read(name, content)
        assert "UTF-8" in (caught.value.hint or "")

    def test_standard_input_in_another_encoding(self):
        stream = io.TextIOWrapper(io.BytesIO("ä: [1]".encode("latin-1")), encoding="utf-8")
        with pytest.raises(SweepSyntaxError, match="not UTF-8"):
            read_rows("-", stdin=stream)

    def test_files_that_cannot_be_read(self, tmp_path):
        with pytest.raises(UsageError, match=r"none\.yaml"):
            read_rows(str(tmp_path / "none.yaml"))
        with pytest.raises(UsageError, match="cannot read"):
            read_rows(str(tmp_path))
        with pytest.raises(UsageError, match="cannot read"):
            read_rows("a\0.yaml")

    def test_a_file_too_large_to_be_a_sweep(self, tmp_path):
        path = tmp_path / "huge.csv"
        with path.open("wb") as file:
            file.truncate(65 * 2**20)
        with pytest.raises(SweepSyntaxError, match="64 MiB"):
            read_rows(str(path))


@settings(max_examples=150, deadline=None)
@given(
    st.text() | st.text("ab:-[]{},&*!#|>'\"%\n 01.e", max_size=40),
    st.sampled_from(["yaml", "json", "csv"]),
)
def test_any_text_is_rows_or_a_reason(content, format):
    rows, message = [], "standard input"
    try:
        rows = read_stdin(content, format=format)
    except SweepSyntaxError as error:
        message = error.message
    assert message.startswith("standard input")
    assert not CONTROL.search(message)
    assert all(key.isidentifier() for row in rows for key in row)
    assert json.dumps(rows, allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b", "имя"]),
            st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text("ab é:#-'"),
        ),
        min_size=1,
    )
)
def test_yaml_and_json_give_back_what_was_dumped(rows):
    import yaml

    assert read_stdin(yaml.safe_dump(rows, allow_unicode=True)) == rows
    assert read_stdin(json.dumps(rows), format="json") == rows
