"""The grammar of ``--sp``, ``--sweep``, ``--zip`` and ``--exclude``.

``KEY=VALUE`` gives plain text, ``KEY:=JSON`` any type. In sweeps ``|`` separates
alternatives and ``a..b`` is an inclusive range of integers. Clauses are separated by
commas and blanks do not matter.
"""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aexp.errors import SweepSyntaxError
from aexp.kb.values import Text as Text
from aexp.kb.values import key_problem, parse_json, skip_blanks, value_problem
from aexp.kb.values import typed as typed
from aexp.model import printable

MAX_RUNS = 1_000_000
_SEPARATORS = re.compile(r"[\s,]*")
_UP_TO_EQUALS = re.compile(r"[^=,]*")
_RANGE = re.compile(r"([+-]?[0-9]+)\s*\.\.\s*([+-]?[0-9]+)")
_RANGE_DIGITS = 18
_EXCERPT = 60


def parse_assignments(text: str) -> dict[str, Any]:
    """Read ``KEY=VALUE,KEY:=JSON``.

    Parameters
    ----------
    text : str
        What the user gave to ``--sp``.

    Returns
    -------
    dict
        The keys in written order. A plain value is a `Text`, blanks around it removed.

    Raises
    ------
    SweepSyntaxError
        If the text does not parse. The message names the place.
    """
    return {key: values[0] for key, values in _clauses(text, alternatives=False).items()}


def parse_sweep_values(text: str) -> dict[str, list[Any]]:
    """Read ``KEY=V|V, KEY=a..b, KEY:=JSON|JSON`` and leave plain values untyped.

    Parameters
    ----------
    text : str
        What the user gave to ``--sweep``.

    Returns
    -------
    dict
        For each key in written order its alternatives; plain ones are `Text`.

    Raises
    ------
    SweepSyntaxError
        If the text does not parse. The message names the place.
    """
    return _clauses(text, alternatives=True)


def parse_sweep(text: str) -> dict[str, list[Any]]:
    """Read a sweep like `parse_sweep_values` and type its values: integers, else strings."""
    return {key: [typed(v) for v in values] for key, values in parse_sweep_values(text).items()}


def product(sweeps: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield every combination in written order, the last key changing fastest."""
    for values in itertools.product(*sweeps.values()):
        yield dict(zip(sweeps, values, strict=True))


def zip_rows(text: str) -> list[dict[str, Any]]:
    """Read ``a=1|2|3, b=x|y|z`` as the rows (1, x), (2, y), (3, z).

    Parameters
    ----------
    text : str
        What the user gave to one ``--zip``.

    Returns
    -------
    list of dict
        One row per position; plain values are `Text`.

    Raises
    ------
    SweepSyntaxError
        If the text does not parse, is empty, or the keys have different numbers of values.
    """
    columns = parse_sweep_values(text)
    lengths = {key: len(values) for key, values in columns.items()}
    if not columns:
        raise SweepSyntaxError("--zip is empty", 'write it like --zip "a=1|2|3, b=x|y|z"')
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise SweepSyntaxError(
            f"--zip needs as many values for each key: {found}",
            "use --sweep for every combination of the keys",
        )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def excludes(texts: Sequence[str]) -> Callable[[Mapping[str, Any]], bool]:
    """Return a test that says whether a combination is excluded.

    Parameters
    ----------
    texts : sequence of str
        One ``KEY=V|V, KEY=a..b`` per ``--exclude``. A text excludes what matches all its keys,
        each with any of its alternatives.

    Raises
    ------
    SweepSyntaxError
        If a text is empty or does not parse.
    """
    return _predicate([_parse_exclude(text) for text in texts])


def expand(
    base: Mapping[str, Any],
    sweep: str | None = None,
    zipped: Sequence[str] = (),
    rows: list[dict[str, Any]] | None = None,
    exclude: Sequence[str] = (),
    *,
    limit: int = MAX_RUNS,
) -> list[dict[str, Any]]:
    """Return the configurations of one ``queue add``, in the order in which they are written.

    Parameters
    ----------
    base : mapping
        What every configuration has (``--sp``).
    sweep : str, optional
        The ``--sweep`` text; its last key changes fastest.
    zipped : sequence of str, optional
        The ``--zip`` texts, each one factor of the grid.
    rows : list of dict, optional
        Rows of a sweep file; they change slowest.
    exclude : sequence of str, optional
        The ``--exclude`` texts.
    limit : int, optional
        How many configurations the grid may have.

    Returns
    -------
    list of dict
        ``{**base, **combination}`` each. Plain values are still `Text`.

    Raises
    ------
    SweepSyntaxError
        If a text does not parse, two sources give the same key, an excluded key occurs
        nowhere, or the grid has more than `limit` configurations.
    """
    grid = parse_sweep_values(sweep or "")
    factors = [] if rows is None else [("the sweep file", rows)]
    factors += [("--zip", zip_rows(text)) for text in zipped]
    size = math.prod(map(len, grid.values())) * math.prod(len(part) for _, part in factors)
    if size > limit:
        raise SweepSyntaxError(
            f"this makes {size} runs; the limit is {limit}", "split the sweep into parts"
        )
    factors.append(("--sweep", list(product(grid))))
    keys = _all_keys(base, factors)
    conditions = [_parse_exclude(text) for text in exclude]
    for key in itertools.chain.from_iterable(conditions):
        if key not in keys:
            raise SweepSyntaxError(
                f"--exclude names {key!r}, which no combination has",
                "keys of this call: " + (", ".join(keys) or "none"),
            )
    is_excluded = _predicate(conditions)
    combinations = itertools.product(*(part for _, part in factors))
    merged = (
        {**base, **{key: value for part in parts for key, value in part.items()}}
        for parts in combinations
    )
    return [combination for combination in merged if not is_excluded(combination)]


def _all_keys(
    base: Mapping[str, Any], factors: list[tuple[str, list[dict[str, Any]]]]
) -> dict[str, str]:
    """Return every key with the source that gives it; two sources are one too many."""
    sources = dict.fromkeys(base, "--sp")
    for source, part in factors:
        for key in dict.fromkeys(itertools.chain.from_iterable(part)):
            if key in sources:
                both = f"both {sources[key]} and {source}"
                if sources[key] == source:
                    both = f"two {source} options"
                raise SweepSyntaxError(f"{key!r} is given in {both}", "keep one of the two")
            sources[key] = source
    return sources


def _parse_exclude(text: str) -> dict[str, list[Any]]:
    condition = parse_sweep(text)
    if not condition:
        raise SweepSyntaxError("--exclude is empty", "write it like --exclude lr=0.1,seed=3")
    return condition


def _predicate(conditions: list[dict[str, list[Any]]]) -> Callable[[Mapping[str, Any]], bool]:
    def is_excluded(combination: Mapping[str, Any]) -> bool:
        return any(
            all(
                key in combination and any(_same(combination[key], value) for value in values)
                for key, values in condition.items()
            )
            for condition in conditions
        )

    return is_excluded


def _same(value: Any, wanted: Any) -> bool:
    """Compare as the user sees it: ``0.1`` excludes both the number and the text."""
    value = typed(value)
    if type(value) is type(wanted):
        return bool(value == wanted)
    numbers = _number(value), _number(wanted)
    if None not in numbers:
        return numbers[0] == numbers[1]
    return _spelling(value) == _spelling(wanted)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return None


def _spelling(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _clauses(text: str, *, alternatives: bool) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    position = 0
    while (position := _match_end(_SEPARATORS, text, position)) < len(text):
        key, is_json, begin = _key(text, position)
        if key in found:
            raise _error(text, position, f"{key!r} is given twice", "keep one of the two")
        if is_json:
            found[key], position = _json_values(text, begin, alternatives)
        else:
            found[key], position = _plain_values(text, begin, key, alternatives)
    return found


def _key(text: str, position: int) -> tuple[str, bool, int]:
    """Return the key at `position`, whether ``:=`` follows, and where its value begins."""
    end = _match_end(_UP_TO_EQUALS, text, position)
    word = text[position:end].strip()
    if text[end : end + 1] != "=":
        raise _error(
            text,
            position,
            f"{word!r} has no '='",
            'write KEY=VALUE; a value with a comma is written as JSON: KEY:="a,b"',
        )
    is_json = word.endswith(":")
    key = word.removesuffix(":").rstrip()
    problem = key_problem(key)
    if problem:
        hint = "a key is one word of letters, digits and underscores, like batch_size"
        raise _error(text, position, f"{printable(problem)}, so it cannot be a key", hint)
    return key, is_json, end + 1


def _plain_values(text: str, begin: int, key: str, alternatives: bool) -> tuple[list[Any], int]:
    comma = text.find(",", begin)
    end = len(text) if comma < 0 else comma
    values: list[Any] = []
    position = begin
    for piece in text[begin:end].split("|") if alternatives else [text[begin:end]]:
        word = Text(piece.strip())
        at = min(skip_blanks(text, position), end)
        problem = value_problem(word)
        if problem:
            raise _error(text, at, problem, f'write it as JSON: {key}:="..."')
        if alternatives and not word:
            hint = f'remove the extra "|", or write an empty text as JSON: {key}:=""'
            raise _error(text, at, f"{key!r} has an empty alternative", hint)
        bounds = _RANGE.fullmatch(word) if alternatives else None
        values += _range(text, at, bounds) if bounds else [word]
        position += len(piece) + 1
    return values, end


def _range(text: str, at: int, bounds: re.Match[str]) -> list[Any]:
    written = f"{bounds[1]}..{bounds[2]}"
    if max(map(len, bounds.groups())) > _RANGE_DIGITS:
        raise _error(text, at, "the range has too many digits", "use smaller numbers")
    low, high = int(bounds[1]), int(bounds[2])
    if high < low:
        raise _error(text, at, f"the range {written} runs backwards", f"write {high}..{low}")
    if high - low >= MAX_RUNS:
        message = f"the range {written} has {high - low + 1} values; the limit is {MAX_RUNS}"
        raise _error(text, at, message, "split the sweep into parts")
    return [Text(number) for number in range(low, high + 1)]


def _json_values(text: str, begin: int, alternatives: bool) -> tuple[list[Any], int]:
    hint = 'text needs quotes in JSON: KEY:="abc"; or write KEY=abc'
    values: list[Any] = []
    position = begin
    while True:
        at = skip_blanks(text, position)
        try:
            value, position = parse_json(text, at)
        except json.JSONDecodeError as error:
            raise _error(text, error.pos, f"not JSON: {error.msg}", hint) from None
        except ValueError as error:
            raise _error(text, at, f"not JSON that can be stored: {error}", None) from None
        values.append(value)
        following = text[position : position + 1]
        if following == "|" and alternatives:
            position += 1
        elif following in ("", ","):
            return values, position
        else:
            raise _error(text, position, f"unexpected {following!r} after a JSON value", hint)


def _match_end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _error(text: str, position: int, message: str, hint: str | None) -> SweepSyntaxError:
    start = max(0, position - _EXCERPT // 2)
    excerpt = printable(text[start : start + _EXCERPT])
    where = f"column {position + 1} of '{'...' if start else ''}{excerpt}'"
    return SweepSyntaxError(f"{printable(message)} ({where})", hint)
