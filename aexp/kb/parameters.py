"""The ``parameters:`` schema of an experiment: types, choices, limits, defaults."""

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from aexp.errors import ParameterError
from aexp.kb.values import Text, key_problem, parse_json, typed, value_problem
from aexp.model import printable

TYPES = ("int", "float", "bool", "str", "list", "dict", "any")
_FIELDS = ("type", "choices", "default", "required", "min", "max")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}


class Parameter(NamedTuple):
    """One declared parameter.

    Attributes
    ----------
    name : str
        Its key in the state point.
    type : str
        One of `TYPES`.
    choices : list or None
        The only values allowed, None for no restriction.
    has_default : bool
        Whether `default` is used when the user gives no value.
    default : Any
        The default; a parameter whose default is null also takes null.
    required : bool
        Whether a run without a value is refused.
    min, max : float or None
        Inclusive limits of a number.
    """

    name: str
    type: str
    choices: list[Any] | None = None
    has_default: bool = False
    default: Any = None
    required: bool = True
    min: float | None = None
    max: float | None = None

    def accept(self, value: Any) -> Any:
        """Return `value` in this parameter's type.

        Raises
        ------
        ValueError
            If it has another type, is no choice, or is out of bounds.
        """
        if value is None and self.has_default and self.default is None:
            return None
        value = _CONVERTERS[self.type](value)
        problem = value_problem(value)
        if problem:
            raise ValueError(problem)
        if self.choices is not None and not any(_equal(value, item) for item in self.choices):
            raise ValueError(f"{_show(value)} is not one of {', '.join(map(_show, self.choices))}")
        if self.min is not None and value < self.min:
            raise ValueError(f"{value} is less than the minimum {self.min}")
        if self.max is not None and value > self.max:
            raise ValueError(f"{value} is more than the maximum {self.max}")
        return value


class Schema(NamedTuple):
    """The declared parameters of one experiment.

    Attributes
    ----------
    where : str
        The file that declares them, for messages.
    parameters : dict of str to Parameter
        In declared order.
    """

    where: str
    parameters: dict[str, Parameter]

    def apply(self, sp: Mapping[str, Any], allowed_extra: Collection[str] = ()) -> dict[str, Any]:
        """Return `sp` with every value checked and typed, and the defaults after the given keys.

        Parameters
        ----------
        sp : mapping
            Keys and values as the user gave them; plain text as `Text`.
        allowed_extra : collection of str, optional
            Keys that may occur without being declared; `typed` gives them their type.

        Returns
        -------
        dict
            The state point to freeze.

        Raises
        ------
        ParameterError
            If a key is unknown, a required one is missing, or a value does not fit.
        """
        result: dict[str, Any] = {}
        for name, value in sp.items():
            parameter = self.parameters.get(name)
            if parameter is not None:
                result[name] = self._accept(parameter, value)
            elif name in allowed_extra:
                result[name] = typed(value)
            else:
                raise self._unknown(name, allowed_extra)
        absent = [item for name, item in self.parameters.items() if name not in sp]
        missing = [item.name for item in absent if item.required]
        if missing:
            raise ParameterError(
                f"{self.where}: no value for {', '.join(missing)}",
                f"give it, for instance --sp {missing[0]}=..., or declare a default",
            )
        # A copy each: a caller that edits one run's list must not edit the next one's.
        result.update((item.name, _copy(item.default)) for item in absent if item.has_default)
        return result

    def _accept(self, parameter: Parameter, value: Any) -> Any:
        try:
            return parameter.accept(value)
        except ValueError as error:
            raise ParameterError(
                f"{self.where}: {parameter.name}: {printable(error)}", _HINTS.get(parameter.type)
            ) from None

    def _unknown(self, name: str, allowed_extra: Collection[str]) -> ParameterError:
        close = _closest(name, [*self.parameters, *allowed_extra])
        declared = f"declared parameters: {', '.join(self.parameters)}"
        return ParameterError(
            f"{self.where}: unknown parameter {printable(name)!r}",
            f"did you mean {close}?" if close else declared,
        )


def parse_schema(raw: object, where: str) -> Schema | None:
    """Read a ``parameters:`` block.

    Parameters
    ----------
    raw : object
        The block as YAML gives it: names to a type, or to a mapping with ``type`` and any of
        ``choices``, ``default``, ``required``, ``min`` and ``max``.
    where : str
        The file it comes from, for messages.

    Returns
    -------
    Schema or None
        None when the block is absent or empty: then any key is allowed.

    Raises
    ------
    ParameterError
        If the block contradicts itself. The message names `where` and the key.
    """
    if raw is None or raw == {}:
        return None
    if not isinstance(raw, Mapping):
        raise ParameterError(
            f"{where}: parameters is not a mapping", "write one line each, for instance  lr: float"
        )
    parameters: dict[str, Parameter] = {}
    for name, spec in raw.items():
        try:
            problem = key_problem(name)
            if problem:
                raise ValueError(problem)
            parameters[name] = _parse_parameter(name, spec)
        except ValueError as error:
            raise ParameterError(
                f"{where}: parameters.{printable(name)}: {printable(error)}",
                "write a type, or {type: float, default: 0.1, min: 0}; "
                f"types: {', '.join(TYPES)}; fields: {', '.join(_FIELDS)}",
            ) from None
    return Schema(where, parameters)


def _parse_parameter(name: str, spec: object) -> Parameter:
    fields = {"type": spec} if isinstance(spec, str) else spec
    if not isinstance(fields, Mapping):
        raise ValueError(f"{spec!r} is neither a type nor a mapping")
    for field in fields:
        if field not in _FIELDS:
            close = _closest(str(field), _FIELDS)
            raise ValueError(f"unknown field {field!r}" + (f", meant {close}?" if close else ""))
    kind = fields.get("type", "any")
    if kind not in TYPES:
        raise ValueError(f"unknown type {kind!r}")
    has_default = "default" in fields
    required = fields.get("required", not has_default)
    if not isinstance(required, bool):
        raise ValueError(f"required is {required!r}, not true or false")
    if required and has_default:
        raise ValueError("it has a default, so it cannot be required")
    bare = Parameter(
        name, kind, None, has_default, fields.get("default"), required, *_limits(kind, fields)
    )
    choices = _choices(bare, fields["choices"]) if "choices" in fields else None
    parameter = bare._replace(choices=choices)
    if has_default:
        parameter = parameter._replace(default=_checked(parameter, fields["default"], "default"))
    return parameter


def _limits(kind: str, fields: Mapping[str, Any]) -> tuple[float | None, float | None]:
    limits: list[float | None] = []
    for field in ("min", "max"):
        limit = fields.get(field)
        if limit is not None:
            if kind not in ("int", "float"):
                raise ValueError(f"{field} needs the type int or float")
            try:
                limit = limit if type(limit) is int else _to_float(limit)
            except ValueError as error:
                raise ValueError(f"{field}: {error}") from None
        limits.append(limit)
    low, high = limits
    if low is not None and high is not None and low > high:
        raise ValueError(f"min {low} is more than max {high}")
    return low, high


def _choices(parameter: Parameter, raw: object) -> list[Any]:
    if not isinstance(raw, list) or not raw:
        raise ValueError("choices is not a list of values")
    return [_checked(parameter, item, "choices") for item in raw]


def _checked(parameter: Parameter, value: Any, field: str) -> Any:
    try:
        return parameter.accept(value)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None


def _to_int(value: Any) -> int:
    if isinstance(value, Text) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{_show(value)} is not an int")


def _to_float(value: Any) -> float:
    # Not only Text: YAML 1.1 reads 1e-4 as a string.
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and _finite(value):
        return float(value)
    raise ValueError(f"{_show(value)} is not a finite number")


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, Text) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    raise ValueError(f"{_show(value)} is not true or false")


def _to_str(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    raise ValueError(f"{_show(value)} is not text")


def _to_list(value: Any) -> list[Any]:
    value = _from_json(value)
    if isinstance(value, list):
        return value
    raise ValueError(f"{_show(value)} is not a list")


def _to_dict(value: Any) -> dict[str, Any]:
    value = _from_json(value)
    if isinstance(value, dict):
        return value
    raise ValueError(f"{_show(value)} is not a mapping")


def _from_json(value: Any) -> Any:
    if not isinstance(value, Text):
        return value
    try:
        parsed, end = parse_json(value)
    except ValueError as error:
        raise ValueError(f"{_show(value)} is not JSON: {error}") from None
    if end < len(value):
        raise ValueError(f"{_show(value)} has more than one JSON value")
    return parsed


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "int": _to_int,
    "float": _to_float,
    "bool": _to_bool,
    "str": _to_str,
    "list": _to_list,
    "dict": _to_dict,
    "any": typed,
}
_HINTS = {
    "list": 'write it as JSON, for instance --sp KEY:="[1, 2]"',
    "dict": "write it as JSON, for instance --sp 'KEY:={\"a\": 1}'",
}


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an int beyond the range of floats
        return False


def _equal(left: Any, right: Any) -> bool:
    """Compare as JSON does: ``true`` is not 1."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _show(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value)) if isinstance(value, list | dict) else value


def _closest(word: str, known: Iterable[str]) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), 1)), None)
