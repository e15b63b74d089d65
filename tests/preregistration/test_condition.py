"""Conditions: what parses says what Python says, what does not is told where; nothing runs."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.preregistration.condition import (
    Both,
    Compare,
    Either,
    Literal,
    Name,
    Node,
    Not,
    Probe,
    holds,
    names_of,
)
from aexp.preregistration.grammar import ConditionError, parse_condition

OPERATORS = ("==", "!=", "<", "<=", ">", ">=")
NAMES = st.sampled_from(["loss", "val/acc", "val.top1", "not", "a `b` c", "потеря", "x-1", "1st"])
NUMBERS = (
    st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, 1, 0.5])
)
SCALARS = NUMBERS | st.booleans() | st.text(max_size=12)
VALUES = (
    SCALARS
    | st.none()
    | st.just(math.nan)
    | st.sampled_from(["NaN", "Infinity"])
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)
ENVIRONMENTS = st.dictionaries(NAMES, VALUES, max_size=8)


def operands() -> st.SearchStrategy[Node]:
    return NAMES.map(Name) | SCALARS.map(Literal)


@st.composite
def comparisons(draw: Any) -> Node:
    operators = draw(st.lists(st.sampled_from(OPERATORS), min_size=1, max_size=3))
    found = draw(st.lists(operands(), min_size=len(operators) + 1, max_size=len(operators) + 1))
    return Compare(tuple(found), tuple(operators))


def several(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[tuple[Node, ...]]:
    return st.lists(inner, min_size=2, max_size=3).map(tuple)


LEAVES = comparisons() | operands() | st.builds(
    Probe, st.sampled_from(["missing", "nan"]), NAMES.map(Name)
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: inner.map(Not) | several(inner).map(Both) | several(inner).map(Either),
    max_leaves=8,
)


@given(TREES)
def test_what_is_written_is_what_was_meant(tree: Node) -> None:
    assert parse_condition(str(tree)) == tree


@given(TREES, ENVIRONMENTS)
def test_values_of_any_kind_are_data(tree: Node, values: dict[str, Any]) -> None:
    """Nulls, quotes, nested and unequal types: an answer, or none; never an exception."""
    answer = holds(tree, values)
    assert answer in (True, False, None)
    assert holds(Not(tree), values) is (None if answer is None else not answer)
    assert holds(parse_condition(str(tree)), values) is answer


def expected(tree: Node, values: dict[str, Any]) -> bool:
    """Return what Python says of a tree whose values are all numbers."""

    def value(node: Node) -> Any:
        return values[node.name] if isinstance(node, Name) else node.value  # type: ignore[union-attr]

    if isinstance(tree, Compare):
        found = [value(each) for each in tree.operands]
        text = "found[0]" + "".join(
            f" {operator} found[{at + 1}]" for at, operator in enumerate(tree.operators)
        )
        return bool(eval(text, {"found": found}))
    if isinstance(tree, Not):
        return not expected(tree.operand, values)
    if isinstance(tree, Both):
        return all(expected(each, values) for each in tree.operands)
    assert isinstance(tree, Either)
    return any(expected(each, values) for each in tree.operands)


NUMERIC = st.recursive(
    st.builds(
        lambda a, b, c, x, y: Compare((a, b, c), (x, y)),
        NAMES.map(Name),
        NUMBERS.map(Literal) | NAMES.map(Name),
        NUMBERS.map(Literal),
        st.sampled_from(OPERATORS),
        st.sampled_from(OPERATORS),
    ),
    lambda inner: inner.map(Not) | several(inner).map(Both) | several(inner).map(Either),
    max_leaves=6,
)


@given(NUMERIC, st.data())
def test_numbers_compare_as_in_python(tree: Node, data: Any) -> None:
    values = {name: data.draw(NUMBERS) for name in names_of(tree)}
    assert holds(parse_condition(str(tree)), values) is expected(tree, values)


@given(st.text() | st.text(alphabet="ab01.=<>!()'\"`&| andornot\n", max_size=40))
def test_any_other_text_is_refused_with_a_place(text: str) -> None:
    fault, tree = None, None
    try:
        tree = parse_condition(text)
    except ConditionError as error:
        fault = error
    if fault is not None:
        assert 1 <= fault.column <= len(text) + 1
        assert fault.message
    else:
        assert tree is not None
        assert parse_condition(str(tree)) == tree


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "empty"),
        ("a = 1", 3, "write =="),
        ("a > 1 && b > 1", 7, "write and"),
        ("!a", 1, "write not"),
        ("a >", 4, "missing at the end"),
        ("a > 'x", 5, "not closed"),
        ("a > 1 b", 7, "follows"),
        ("len(a) > 1", 1, "no function"),
        ("missing(1)", 1, "name of a metric"),
        ("a + b > 1", 3, "no arithmetic"),
        ("(a > 1", 7, "')' is missing"),
        ("(a > 1) > b", 9, "only names"),
        ("(" * 100 + "a" + ")" * 100, 62, "nested"),
        ("not " * 100 + "a", 241, "nested"),
        ("a > 1e999", 5, "too large"),
        ("a > " + "9" * 5000, 5, "400 characters"),
        ("__import__('os').system('true')", 17, "means nothing"),
        ("a; drop table runs", 2, "means nothing"),
        ("acc@5 > 1", 4, "between backticks"),
        ("a > 1 AND b > 1", 7, "write and"),
    ],
)
def test_errors_say_what_to_write(text: str, column: int, words: str) -> None:
    with pytest.raises(ConditionError, match=r".") as caught:
        parse_condition(text)
    assert words in caught.value.message
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("text", "values", "answer"),
    [
        ("loss < 1", {}, None),
        ("not (loss < 1)", {}, None),
        ("not (loss < 1)", {"loss": math.nan}, None),
        ("not (loss < 1)", {"loss": "NaN"}, None),
        ("missing(loss)", {}, True),
        ("missing(loss)", {"loss": None}, True),
        ("missing(loss) or loss < 1", {}, True),
        ("nan(loss)", {"loss": "NaN"}, True),
        ("nan(loss)", {"loss": 1.0}, False),
        ("nan(loss)", {}, None),
        ("loss < 1 and acc > 1", {"acc": 0}, False),
        ("loss < 1 or acc > 1", {"acc": 2}, True),
        ("note == 'it''s'", {"note": "it's"}, True),
        ('note != "say ""x"""', {"note": "'; drop table runs; --"}, True),
        ("note > 1", {"note": "text"}, None),
        ("converged", {"converged": True}, True),
        ("acc", {"acc": 1}, None),
        ("0.4 <= acc < 0.6", {"acc": 0.6}, False),
        ("loss > 1e300", {"loss": "Infinity"}, True),
        ("x == 1", {"x": [1]}, None),
    ],
)
def test_what_is_not_known_is_neither_true_nor_false(
    text: str, values: dict[str, Any], answer: bool | None
) -> None:
    assert holds(parse_condition(text), values) is answer
