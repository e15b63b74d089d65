"""The statistics, against NumPy and SciPy used another way."""

import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from aexp.validation import statistics
from aexp.validation.statistics import StatsMissing, Undefined

assert stats  # imported here, so that no example waits for it
_values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12)


def about(wanted: float, scale: float = 1.0) -> Any:
    return pytest.approx(float(wanted), rel=1e-9, abs=1e-9 * max(1.0, scale))


@settings(deadline=None)
@given(_values)
def test_points(values: list[float]) -> None:
    scale = max(map(abs, values))
    assert statistics.point("mean", values) == about(np.mean(values), scale)
    assert statistics.point("median", values) == about(np.median(values), scale)
    assert statistics.point("min", values) == about(np.min(values))
    assert statistics.point("max", values) == about(np.max(values))
    assert statistics.point("sd", values) == about(np.std(values, ddof=1), scale)
    assert statistics.point("count", values) == len(values)


@settings(deadline=None)
@given(_values, _values)
def test_differences(first: list[float], second: list[float]) -> None:
    scale = max(map(abs, first + second))
    found = statistics.difference("mean_diff", first, second, is_paired=False)
    assert found == about(np.mean(first) - np.mean(second), scale)
    found = statistics.difference("median_diff", first, second, is_paired=False)
    assert found == about(np.median(first) - np.median(second), scale)
    size = min(len(first), len(second))
    a, b = first[:size], second[:size]
    found = statistics.difference("median_diff", a, b, is_paired=True)
    assert found == about(np.median(np.array(a) - np.array(b)), scale)
    assume(abs(np.mean(second)) > 1e-3)
    found = statistics.difference("ratio", first, second, is_paired=False)
    assert found == about(np.mean(first) / np.mean(second), scale)


def t_quantile(level: float, df: float) -> float:
    return float(special.stdtrit(df, 0.5 + level / 2))


@settings(deadline=None)
@given(_values, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_interval_of_a_mean(values: list[float], level: float) -> None:
    low, high = statistics.interval(values, level=level)
    n, mean = len(values), np.mean(values)
    half = t_quantile(level, n - 1) * np.std(values, ddof=1) / math.sqrt(n)
    scale = max(map(abs, values))
    assert low == about(mean - half, scale)
    assert high == about(mean + half, scale)


@settings(deadline=None)
@given(_values, _values, st.sampled_from([0.9, 0.95]))
def test_the_interval_of_a_difference(a: list[float], b: list[float], level: float) -> None:
    va, vb = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
    assume(va + vb > 1e-6)
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    half = t_quantile(level, df) * math.sqrt(va + vb)
    difference = np.mean(a) - np.mean(b)
    low, high = statistics.interval(a, b, level=level)
    scale = max(map(abs, a + b)) + half
    assert low == about(difference - half, scale)
    assert high == about(difference + half, scale)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=9))
def test_the_interval_of_paired_differences(pairs: list[tuple[float, float]]) -> None:
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    found = statistics.interval(first, second, level=0.95, is_paired=True)
    wanted = statistics.interval([a - b for a, b in pairs], level=0.95)
    assert found[0] == about(wanted[0], 1e3)
    assert found[1] == about(wanted[1], 1e3)


def test_equal_values_have_an_interval_that_is_a_point() -> None:
    assert statistics.interval([0.5, 0.5], level=0.95) == (0.5, 0.5)
    assert statistics.interval([1.0, 1.0], [0.5, 0.5], level=0.95) == (0.5, 0.5)
    assert statistics.interval([1.0, 2.0], [0.0, 1.0], level=0.95, is_paired=True) == (1.0, 1.0)


def test_what_has_no_number_says_why() -> None:
    for call in (
        lambda: statistics.point("mean", []),
        lambda: statistics.point("sd", [1.0]),
        lambda: statistics.point("mean", [1e308, 1e308]),
        lambda: statistics.difference("mean_diff", [1.7e308], [-1.7e308], is_paired=False),
        lambda: statistics.difference("ratio", [1.0], [0.0], is_paired=False),
        lambda: statistics.interval([1.0], level=0.95),
        lambda: statistics.interval([1.0, 2.0], [1.0], level=0.95),
    ):
        with pytest.raises(Undefined, match=r"\w"):
            call()


def test_without_scipy_only_intervals_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert statistics.point("sd", [1.0, 2.0]) == pytest.approx(math.sqrt(0.5))
    with pytest.raises(StatsMissing, match=r"aexp\[stats\]"):
        statistics.interval([1.0, 2.0], level=0.95)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (True, 1.0),
        (0.5, 0.5),
        ("Infinity", math.inf),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        ("0.5", None),
        (None, None),
        ([1], None),
        ({}, None),
    ],
)
def test_what_counts_as_a_number(value: Any, number: float | None) -> None:
    assert statistics.as_number(value) == number


def test_nan_is_a_number_that_is_none() -> None:
    assert math.isnan(statistics.as_number("NaN") or 0)
