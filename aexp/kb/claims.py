"""Read the ``claims:`` of a finding's frontmatter; nothing is recomputed here."""

import re
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from aexp.errors import ParameterError
from aexp.kb.artifacts import Artifact
from aexp.kb.claim import (
    COMPARISONS,
    KEYS,
    STATISTICS,
    WITH_INTERVAL,
    Claim,
    MalformedClaim,
    Number,
    Tolerance,
    shown,
)
from aexp.kb.experiments import json_value

MAX_CLAIMS = 500
_ASSERTING = ("value", "greater", "less", "n", "low", "high")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)


def claims(artifact: Artifact) -> list[Claim | MalformedClaim]:
    """Return what a finding claims, in the order of its file."""
    value = artifact.meta.get("claims")
    if value is None:
        return []
    line = artifact.document.line("claims")
    if not isinstance(value, list):
        return [MalformedClaim(1, line, "claims is not a list; write - {metric: ..., value: ...}")]
    if len(value) > MAX_CLAIMS:
        reason = f"{len(value)} claims in one finding; at most {MAX_CLAIMS} are read"
        return [MalformedClaim(1, line, reason)]
    return [_Reader(artifact, index, item).claim() for index, item in enumerate(value)]


class _Refused(Exception):
    """A claim is malformed: why, and at which of its keys."""

    def __init__(self, reason: str, key: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.key = key


class _Reader:
    """Reads one item of ``claims:``."""

    def __init__(self, artifact: Artifact, index: int, item: Any) -> None:
        self._document = artifact.document
        self._index = index
        self._item: dict[str, Any] = item if isinstance(item, dict) else {}
        self._is_mapping = isinstance(item, dict)

    def claim(self) -> Claim | MalformedClaim:
        try:
            return self._read()
        except _Refused as refused:
            key = () if refused.key is None else (refused.key,)
            line = self._document.line("claims", self._index, *key)
            return MalformedClaim(self._index + 1, line, refused.reason)

    def _read(self) -> Claim:
        self._check_keys()
        compare, by, paired = self._sides()
        stat = self._stat(compare is not None)
        metric = self._text("metric")
        if metric is None and stat != "count":
            raise _Refused(f"{stat} of what? it has no metric")
        over = self._over(by if compare is not None else None)
        ci, low, high = self._interval(stat)
        claim = Claim(
            number=self._index + 1,
            line=self._document.line("claims", self._index),
            metric=metric,
            stat=stat,
            over=over,
            compare=compare,
            by=by,
            paired=paired,
            value=self._number("value"),
            tolerance=self._tolerance(),
            greater=self._number("greater"),
            less=self._number("less"),
            n=self._n(compare is not None and paired is None),
            ci=ci,
            low=low,
            high=high,
        )
        if claim.tolerance is not None and not (claim.value or low or high):
            raise _Refused("tolerance of what? it has no value", "tolerance")
        return claim

    def _check_keys(self) -> None:
        if not self._is_mapping:
            raise _Refused("it is not a mapping; write {metric: ..., stat: mean, value: ...}")
        for key in self._item:
            if key not in KEYS:
                name = str(key)
                near = get_close_matches(name[:40], KEYS, n=1)
                raise _Refused(
                    f"it has the unknown key {shown(name)}"
                    + (f"; did you mean {near[0]}?" if near else f"; known: {', '.join(KEYS)}"),
                    name,
                )
        if not any(key in self._item for key in _ASSERTING):
            raise _Refused(f"it claims nothing: give one of {', '.join(_ASSERTING)}")

    def _sides(self) -> tuple[tuple[Any, Any] | None, str, str | None]:
        by, paired = self._text("by"), self._text("paired")
        if "compare" not in self._item:
            for key in ("by", "paired"):
                if key in self._item:
                    raise _Refused(f"{key} goes with compare: [a, b]", key)
            return None, "condition", None
        sides = self._item["compare"]
        if not isinstance(sides, list) or len(sides) != 2:
            raise _Refused("compare is not a list of two values", "compare")
        first, second = (self._scalar("compare", side) for side in sides)
        if type(first) is type(second) and first == second:
            raise _Refused(f"compare has {shown(first)} on both sides", "compare")
        by = by or "condition"
        if paired == by:
            raise _Refused(f"the two sides differ in {by}: pair them by another key", "paired")
        return (first, second), by, paired

    def _stat(self, is_comparison: bool) -> str:
        known = COMPARISONS if is_comparison else STATISTICS
        stat = self._text("stat") or known[0]
        if stat in known:
            return stat
        if stat in COMPARISONS:
            raise _Refused(f"{stat} needs compare: [a, b]", "stat")
        near = get_close_matches(stat[:40], known, n=1)
        raise _Refused(
            f"stat is {shown(stat)}"
            + (" in a comparison" if is_comparison else "")
            + (f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"),
            "stat",
        )

    def _over(self, by: str | None) -> dict[str, Any]:
        over = self._item.get("over", {})
        if not isinstance(over, dict):
            raise _Refused("over is not a mapping; write over: {condition: full}", "over")
        if by is not None and by in over:
            raise _Refused(f"over fixes {by}, which compare is about", "over")
        return {str(key): self._scalar("over", item) for key, item in over.items()}

    def _interval(self, stat: str) -> tuple[float | None, Number | None, Number | None]:
        level, low, high = (self._number(key) for key in ("ci", "low", "high"))
        if level is None:
            for key in ("low", "high"):
                if key in self._item:
                    raise _Refused(f"{key} needs the interval's level: ci: 0.95", key)
            return None, None, None
        if not 0 < level.value < 1:
            raise _Refused(f"ci is {level.text}; write a level between 0 and 1: 0.95", "ci")
        if stat not in WITH_INTERVAL:
            raise _Refused(f"there is no interval of {stat}; only of mean and mean_diff", "ci")
        if low is not None and high is not None and low.value > high.value:
            raise _Refused("low is greater than high", "low")
        return level.value, low, high

    def _tolerance(self) -> Tolerance | None:
        if "tolerance" not in self._item:
            return None
        text = self._written("tolerance")
        is_relative = text.endswith("%")
        number = _number(text.removesuffix("%").rstrip())
        if number is None or number.value < 0:
            raise _Refused(
                f"tolerance is {shown(text)}; write a number, 0 or more, or 1%", "tolerance"
            )
        return Tolerance(number.value / 100 if is_relative else number.value, is_relative)

    def _n(self, has_two_sides: bool) -> tuple[int, ...] | None:
        if "n" not in self._item:
            return None
        value = self._item["n"]
        given = value if isinstance(value, list) and has_two_sides else [value]
        if any(type(one) is not int or not 1 <= one < 10**9 for one in given) or not (
            1 <= len(given) <= 2
        ):
            wanted = "a number of runs" + (" or two, [4, 4]" if has_two_sides else "")
            raise _Refused(f"n is {shown(value)}; write {wanted}", "n")
        return tuple(given) * (2 if has_two_sides and len(given) == 1 else 1)

    def _number(self, key: str) -> Number | None:
        if key not in self._item:
            return None
        text = self._written(key)
        number = _number(text)
        if number is None:
            raise _Refused(f"{key} is {shown(text)}; write a decimal number", key)
        return number

    def _written(self, key: str) -> str:
        """Return the value as the file has it; digits count, and YAML drops them."""
        written = self._document.written("claims", self._index, key)
        return written if written is not None else str(self._item[key])

    def _text(self, key: str) -> str | None:
        if key not in self._item:
            return None
        value = self._item[key]
        if not isinstance(value, str) or not value.strip() or len(value) > 200:
            raise _Refused(f"{key} is {shown(value)}; write a text of 1 to 200 characters", key)
        return value

    def _scalar(self, key: str, value: Any) -> Any:
        try:
            plain = json_value(value, key)
        except ParameterError as error:
            raise _Refused(error.message, key) from None
        if isinstance(plain, (dict, list)):
            raise _Refused(f"{key} has {shown(plain)}; write single values", key)
        return plain


def _number(text: str) -> Number | None:
    if len(text) > 60 or not _NUMBER.fullmatch(text):
        return None
    exponent = Decimal(text).as_tuple().exponent
    value = float(text)
    if not isinstance(exponent, int) or value in (float("inf"), float("-inf")):
        return None
    return Number(value, text, 0.5 * 10.0**exponent if exponent < 0 else 0.0)
