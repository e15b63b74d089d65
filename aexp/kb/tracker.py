"""The ``tracker:`` of an experiment: where its runs are tracked, as settings to be frozen."""

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from aexp.errors import ParameterError

OFF = "none"
KEYS = ("backend", "project", "offline", "entity", "uri", "options")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,500}")
_PASSWORD = re.compile(r"//[^/@]*@")
_EXAMPLE = "write tracker: {backend: wandb, project: NAME, offline: true}"
_MAX_OPTIONS = 10_000


def read_tracker(value: object, where: str = "tracker") -> dict[str, Any] | None:
    """Return a tracker's settings as written in a note or given by a caller.

    Whether such a tracker exists, and takes these settings, is asked when a run is queued.

    Parameters
    ----------
    value : mapping, str or None
        A backend's name, or a mapping with ``backend`` and more of `KEYS`.
    where : str
        What to call it in an error.

    Returns
    -------
    dict or None
        Without empty settings; None when there is no tracker.

    Raises
    ------
    ParameterError
        If it is malformed.
    """
    if value is None or value == OFF:
        return None
    if isinstance(value, str):
        value = {"backend": value}
    if not isinstance(value, Mapping):
        raise ParameterError(f"{where} is neither a name nor a mapping", _EXAMPLE)
    for key in value:
        if key not in KEYS:
            near = get_close_matches(str(key), KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else "its keys: " + ", ".join(KEYS)
            raise ParameterError(f"{where} has no key {str(key)!r}", hint)
    settings = {key: value[key] for key in KEYS if value.get(key) is not None}
    backend = settings.get("backend")
    if backend is None:
        raise ParameterError(f"{where} has no backend", _EXAMPLE)
    if not isinstance(backend, str) or not _NAME.fullmatch(backend):
        raise ParameterError(f"{where}: {backend!r} is no backend's name", _EXAMPLE)
    if not isinstance(settings.get("offline", False), bool):
        raise ParameterError(f"{where}: offline is {settings['offline']!r}", "write true or false")
    for key in ("project", "entity", "uri"):
        _check_text(settings.get(key), f"{where}: {key}")
    if _PASSWORD.search(settings.get("uri", "")):
        raise ParameterError(
            f"{where}: uri holds a user's name or password, which would be written down",
            "leave it out of the address; trackers take theirs from the environment",
        )
    uri = settings.get("uri", "")
    if "://" in uri and not uri.startswith("sqlite:") and ("?" in uri or "#" in uri):
        raise ParameterError(
            f"{where}: uri has a query or a fragment, which would be written down",
            "leave out what follows ? or #; trackers take keys from the environment",
        )
    if "options" in settings:
        settings["options"] = _options(settings["options"], f"{where}: options")
    return None if backend == OFF else settings


def _check_text(value: object, where: str) -> None:
    if value is not None and not (isinstance(value, str) and _LINE.fullmatch(value)):
        raise ParameterError(f"{where} is {value!r}", "write one line of text, in quotes")


def _options(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ParameterError(f"{where} is not a mapping of names", "write options: {name: value}")
    try:
        text = json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ParameterError(
            f"{where} holds more than text, numbers, true, false, lists and mappings", _EXAMPLE
        ) from None
    if len(text) > _MAX_OPTIONS:
        raise ParameterError(f"{where} is over {_MAX_OPTIONS} characters", "write fewer")
    kept: dict[str, Any] = json.loads(text)
    return kept
