"""Since when: ``7d``, ``24h``, ``2w``, or a date."""

import re
import time
from datetime import UTC, datetime

from aexp.errors import UsageError
from aexp.model import utc_at

_SPAN = re.compile(r"([0-9]{1,9})\s*(s|min|m|h|d|w)")
_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?Z?")


def since_stamp(text: str, now: float | None = None) -> str:
    """Return the moment that a span before now, or a date, means.

    Parameters
    ----------
    text : str
        A number and ``s``, ``m`` or ``min``, ``h``, ``d``, ``w``; or a date or time in UTC, as
        runs show theirs: ``2026-01-31``, ``2026-01-31T12:00``.
    now : float, optional
        Seconds since 1970; default: the clock.

    Returns
    -------
    str
        The moment in the store's format, which sorts as text.

    Raises
    ------
    UsageError
        If it is neither.
    """
    given = text.strip()
    span = _SPAN.fullmatch(given)
    if span:
        ago = int(span[1]) * _SECONDS[span[2]]
        return utc_at(max(0.0, (time.time() if now is None else now) - ago))
    if _DATE.fullmatch(given):
        try:
            moment = datetime.fromisoformat(given.removesuffix("Z")).replace(tzinfo=UTC)
        except ValueError:
            pass  # the 31st of February
        else:
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    raise UsageError(
        f"{text!r} is not a time to look back to",
        "write 30min, 24h, 7d, 2w, or a date like 2026-01-31 or 2026-01-31T12:00 (UTC)",
    )
