"""Numbers in files: those that JSON does not know are the words of `NOT_FINITE`."""

import math

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def json_number(value: float) -> float | str:
    """Return `value`, or its name where JSON has no number for it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def finite_or_none(value: object) -> int | float | None:
    """Return `value` if it is a number that any float can hold, and no truth value; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # an integer beyond any float
        return None


def as_number(value: object) -> float | None:
    """Return a stored value as a number, None when it is none.

    The words of `NOT_FINITE` are numbers here, and true and false are 1 and 0.
    """
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return NOT_FINITE.get(value) if isinstance(value, str) else None
