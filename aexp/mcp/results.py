"""What tools return: typed at the top, and always valid JSON, whatever a file holds."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from aexp.numbers import finite_or_none, json_number


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _object(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [_object(item) for item in value] if isinstance(value, list | tuple) else []


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


# Values read from files that anyone may have edited: another type is made to fit.
Text = Annotated[str | None, BeforeValidator(_text)]
Number = Annotated[float | int | None, BeforeValidator(finite_or_none)]
Object = Annotated[dict[str, Any], BeforeValidator(_object)]
Objects = Annotated[list[dict[str, Any]], BeforeValidator(_objects)]
Texts = Annotated[list[str], BeforeValidator(_texts)]


class Value(BaseModel):
    """A part of a result; what its source has beyond its fields is left out."""

    model_config = ConfigDict(extra="ignore")


class Result(Value):
    """What every tool returns."""

    notices: Annotated[
        list[str],
        Field(description="What aexp remarked meanwhile: unreadable files, duplicates."),
    ] = []


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: NaN and odd types as text, no broken Unicode."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Mapping):
        return {str(plain(str(key))): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value).encode("utf-8", "backslashreplace").decode()
