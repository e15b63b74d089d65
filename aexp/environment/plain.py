"""A user's values as JSON has them."""

from collections.abc import Mapping
from typing import Any

from aexp.errors import UsageError
from aexp.numbers import json_number

_MAX_DEPTH = 40
_MAX_TEXT = 10_000


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` in JSON's types: arrays as lists, everything else as its text.

    Raises
    ------
    UsageError
        If it is nested deeper than anybody reads, or contains itself.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return json_number(float(value))
    if depth > _MAX_DEPTH:
        raise UsageError(
            f"a value is nested more than {_MAX_DEPTH} deep, or contains itself",
            "hand over plain dictionaries and lists",
        )
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item, depth + 1) for item in value), key=str)
    if isinstance(value, (bytes, bytearray)):
        return value[:_MAX_TEXT].hex()
    listed = getattr(value, "tolist", None)  # arrays and numbers of numpy, torch, jax
    if callable(listed):
        try:
            return plain(listed(), depth + 1)
        except (TypeError, ValueError, RuntimeError):
            pass
    return str(value)[:_MAX_TEXT]
