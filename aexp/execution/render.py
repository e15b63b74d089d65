"""Put a run's values into its runner command, so that the shell reads them as data.

A value is quoted for the shell where the template is plain command text. Where the template
has quotes of its own, or the shell reads text in another way, only values that mean the same
quoted and unquoted are let in; for the rest the command is refused.

Where the context is not certain (shells differ, or the answer needs a whole shell parser)
the rest of the template counts as such a place: that refuses too much, never too little.
"""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from aexp.errors import RunnerCommandError
from aexp.execution.placeholders import (
    ARITHMETIC,
    DOUBLE,
    PARENTHESES,
    PLAIN,
    SINGLE,
    Slot,
    find_slots,
)
from aexp.model import printable

_INERT = re.compile(r"[A-Za-z0-9@%+=:,./_-]+")  # what shlex.quote leaves as it is
_TAME = re.compile(r"[A-Za-z0-9@%+=:,./_ -]*")  # raw text that opens no quotes or brackets
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_VARIABLE_PART = re.compile(r"[A-Za-z0-9_]")
_OPEN_VARIABLE = re.compile(r"\$[A-Za-z0-9_]+$")
_REDIRECTION = re.compile(r"[0-9]*[<>]")
_HERE_DOCUMENT = re.compile(r"<<-?\s*(\S+)")
_SYNTHETIC = frozenset({"sp_json", "sp_json_shell", "job_id"})


def render_runner_command(template: str, sp: Mapping[str, Any], job_id: str) -> str:
    r"""Return the shell command that runs one configuration.

    Parameters
    ----------
    template : str
        The command with placeholders: ``{key}`` for a value of the state point, quoted for
        the shell where it needs to be; ``{key!raw}`` for the value as it is; ``{sp_json}``
        for all of it as JSON, also right inside single quotes; ``{sp_json_shell}`` the same
        shell-quoted; ``{job_id}``. Unknown ``{words}``, ``${...}`` and an escaped ``\{`` stay.
    sp : mapping
        The run's state point.
    job_id : str
        The run's id.

    Returns
    -------
    str
        A command for ``sh -c``.

    Raises
    ------
    RunnerCommandError
        If a value could be read as shell code at its place, or cannot be in a command at all.
    """
    _check_text("the runner command", template)
    known = frozenset(key for key in sp if isinstance(key, str)) | _SYNTHETIC
    command = ""
    position = 0
    uncertain = ""
    for slot in find_slots(template, known):
        command += template[position : slot.start]
        if uncertain:
            slot = slot._replace(inside=uncertain, exact=False)
        text = _text(slot, sp, job_id, command, template[slot.end :])
        if slot.raw and not _TAME.fullmatch(text):
            uncertain = f"text after {{{slot.name}!raw}}"
        command += text
        position = slot.end
    return command + template[position:]


def placeholders(template: str) -> list[str]:
    """Return the names of a template's placeholders, each once, in the order of their places."""
    return list(dict.fromkeys(slot.name for slot in find_slots(template, None)))


def _text(slot: Slot, sp: Mapping[str, Any], job_id: str, before: str, after: str) -> str:
    """Return what stands for a placeholder between the text before and after it."""
    name = slot.name
    if name in ("sp_json", "sp_json_shell"):
        return _json_text(slot, sp)
    value = job_id if name == "job_id" else _plain_text(name, sp[name])
    if slot.raw or (not value and slot.inside in (SINGLE, DOUBLE)):
        return value
    inert = bool(_INERT.fullmatch(value)) and not _merges(slot, value, before, after)
    if slot.inside in (ARITHMETIC, PARENTHESES):
        inert = inert and bool(_NUMBER.fullmatch(value))  # a word would name a variable
    if inert:
        return value
    if slot.is_plain:
        quoted = shlex.quote(value)
        return f"'{value}'" if quoted == value else quoted
    shown = printable(repr(value if len(value) <= 60 else value[:57] + "..."))
    raise RunnerCommandError(
        f"{{{name}}} stands in {_describe(slot)}, where the shell could misread its value {shown}",
        f"move {{{name}}} out of the quotes, read the value from the JSON file "
        f"$AEXP_STATEPOINT_PATH, or write {{{name}!raw}} to insert it as it is",
    )


def _plain_text(name: str, value: object) -> str:
    try:
        text = str(value)
    except ValueError as error:  # an int of thousands of digits
        raise RunnerCommandError(f"the value of {name!r} cannot be written: {error}") from None
    _check_text(f"the value of {name!r}", text)
    return text


def _json_text(slot: Slot, sp: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(sp, sort_keys=True, separators=(",", ":"), default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise RunnerCommandError(f"the state point cannot be written as JSON: {error}") from None
    portable = text.replace("'", "\\u0027")
    if slot.raw:
        return portable
    if slot.is_plain:
        return shlex.quote(text if slot.name == "sp_json_shell" else portable)
    if slot.exact and slot.inside == SINGLE and slot.name == "sp_json":
        return portable
    raise RunnerCommandError(
        f"{{{slot.name}}} stands in {_describe(slot)}, where the shell would misread JSON",
        f"write {{{slot.name}}} without quotes around it, "
        "or read the JSON file $AEXP_STATEPOINT_PATH",
    )


def _merges(slot: Slot, value: str, before: str, after: str) -> bool:
    """Whether a harmless value means something else because of what is around it."""
    if slot.inside == SINGLE:
        return False
    if _OPEN_VARIABLE.search(before) and _VARIABLE_PART.match(value):
        return True  # $HOME{key}: the value would become part of the variable's name
    if slot.inside == DOUBLE:
        return False
    if value.isdigit() and _REDIRECTION.match(after):
        return True  # {key}>file: the value would become the number of a file descriptor
    if slot.braces and ("," in value or ".." in value):
        return True  # {{key}}: bash would expand {a,b} or {1..3}
    if slot.is_plain:
        return False
    return any(value in delimiter for delimiter in _HERE_DOCUMENT.findall(before))


def _describe(slot: Slot) -> str:
    return slot.inside if slot.exact or slot.inside not in PLAIN else "a nested $(...)"


def _check_text(what: str, text: str) -> None:
    if "\0" in text:
        raise RunnerCommandError(f"{what} has a NUL character, which no command can hold")
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise RunnerCommandError(f"{what} is not valid UTF-8") from None
