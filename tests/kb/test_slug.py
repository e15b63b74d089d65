"""File names made from titles."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aexp.kb.slug import slug


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Sweep the batch size", "sweep-the-batch-size"),
        ("What's new? (v2.0)", "whats-new-v2-0"),
        ("Größe, Œuvre & Ångström", "grosse-oeuvre-angstrom"),
        ("Łódź, smørrebrød, þing", "lodz-smorrebrod-thorning"),
        ("β₁ = 0.9", "beta1-0-9"),
        ("Обучение сети", "obuchenie-seti"),
        ("ﬁne-tuning", "fine-tuning"),
        ("学習率", "untitled"),
        ("学習 rate", "rate"),
        ("../../etc/passwd", "etc-passwd"),
        ("   ", "untitled"),
        ("a" * 59 + " bc", "a" * 59),
        ("x" * 200, "x" * 60),
    ],
)
def test_examples(title: str, expected: str) -> None:
    assert slug(title) == expected


@given(st.text())
def test_it_is_always_part_of_a_file_name(title: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug(title))
    assert len(slug(title)) <= 60
    assert slug(slug(title)) == slug(title)
