"""What may be written down: values without their secrets.

Three sieves, one behind the other. A variable must be on the allowlist, its name must not
sound like a secret (:mod:`aexp.environment.names`), and its value passes `scrub_value`. So
does everything else that people hand over: state points for a tracker, mappings of their
own, commands, URLs.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aexp.environment.names import (
    DOUBTFUL,
    HARMLESS,
    OF_MODEL,
    SECRET,
    allowed,
    is_secret_name,
    secrecy,
    sounds_secret,
)
from aexp.environment.shapes import (
    REDACTED,
    hide_in_urls,
    hide_of_programs,
    hide_random,
    hide_tokens,
    password_option,
)

__all__ = [
    "REDACTED",
    "allowed",
    "is_secret_name",
    "scrub",
    "scrub_arguments",
    "scrub_value",
    "strip_url",
]

_MAX_DEPTH = 50
_MIN_KNOWN = 8  # shorter values of secret variables are too likely to be part of something else

# Texts, not compiled patterns: most runs need none of them, and `re` keeps those it has met.
# A password in front of a host. With a colon it may hold slashes, but ":8080/" is a port.
# The lengths have bounds so that no text takes longer than in proportion to its own length.
_USERINFO = (
    r"(?<=://)(?:[^\s/?#@:]{0,200}:(?!\d{1,5}(?:[/?#]|$))[^\s'\"<>]{0,500}"
    r"|[^\s/?#@'\"<>]{0,500})@"
)
_VALUE = r"""(?P<value>(?:bearer|basic|token)[ ]\S+|"[^"]*"|'[^']*'|[^\s"'&;,)}\]]+)"""
_PAIR = (
    r"""(?ix)(?P<name>(?<![\w.-])-{0,2}[A-Za-z_][\w.-]{0,80})
    (?P<between>\\?["']?\s{0,3}[=:]{1,2}>?\s{0,3}\\?)"""
    + _VALUE
)
_OPTION = r"(?ix)(?P<name>(?<!\S)--?[A-Za-z][\w.-]{0,80})(?P<between>\s{1,3}(?!-))" + _VALUE
_REFERENCE = r"\$\{?[A-Za-z_]\w*\}?|\$\([^)]*|\{[a-z_]\w*|<[^>]{0,30}>?|\*+"
_SCHEME = r"(?i)\b(bearer|basic)( +)(?=\S{0,500}\d)[A-Za-z0-9._~+/=-]{8,}"
_USER_OPTION = r"(?<!\S)(-u|--user|--proxy-user)([ =])([^\s:/]{1,200}):(\S+)"
_LOGIN = r"\b(wandb login(?: --?[\w-]+){0,5} )(?!-)\S{8,}"
# One of these words is in every text that the patterns above change.
_HINT = (
    r"(?i)key|token|secret|pass|pwd|cred|cookie|auth|private|session|dsn|jwt|cert|sas|bearer"
    r"|basic|webhook|login|conn|sid|pin|salt|sig|psk|otp|pw|netrc|-u |--user|--proxy|mysql|mariadb"
    r"|redis-cli|ldap"
)
_NUMBER = r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[kKMGTB]?"
# What a tokenizer's special tokens look like: [PAD], </s>, <|im_end|>, and separators.
_SPECIAL = r"\[[A-Z_]{1,16}\d{0,3}\]|<[|/]{0,2}[A-Za-z_]{1,32}\d{0,3}\|?>|[^\w\s]{1,4}|\s{1,4}"
_WORDS = r"(?=.{1,24}$)[A-Za-z]?[a-z]+(?:[_./-][a-z]+){0,3}"


def scrub_value(text: str) -> str:
    """Return `text` without passwords in URLs, secret pairs, and known shapes of tokens."""
    return _scrub_text(text, _known_secrets())


def scrub(value: Any, *, name: str = "") -> Any:
    """Return a copy of `value` in which every secret is ``***``; its name is kept.

    Parameters
    ----------
    value : mapping, list, str or anything else
        True, False and None stay as they are, other types, too.
    name : str, optional
        The name under which the value stands.
    """
    return _scrub_any(value, secrecy(name), _known_secrets(), 0)


def scrub_arguments(arguments: Sequence[str]) -> list[str]:
    """Return a command's arguments without the values of ``--token X`` and the like."""
    return _scrub_items([str(argument) for argument in arguments], HARMLESS, _known_secrets(), 0)


def strip_url(url: str) -> str:
    """Return a URL without its userinfo, query and fragment."""
    return scrub_value(re.split(r"[?#]", re.sub(_USERINFO, "", url), maxsplit=1)[0])


def _scrub_any(value: Any, tier: int, secrets: Sequence[str], depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return REDACTED if tier == SECRET else value
    if isinstance(value, str):
        return REDACTED if tier and _hides(tier, value) else _scrub_text(value, secrets)
    if depth > _MAX_DEPTH:
        return REDACTED
    if isinstance(value, Mapping):
        return {
            _scrub_text(str(key), secrets): _scrub_any(
                item, max(tier, secrecy(str(key))), secrets, depth + 1
            )
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return _scrub_items(value, tier, secrets, depth + 1)
    if isinstance(value, (set, frozenset)):
        return _scrub_items(sorted(value, key=str), tier, secrets, depth + 1)
    return value


def _scrub_items(items: Sequence[Any], tier: int, secrets: Sequence[str], depth: int) -> list[Any]:
    """Scrub a list, which may be that of a command's arguments: an option names what follows."""
    clean: list[Any] = []
    of_option = HARMLESS
    takes_password: str | None = None
    for item in items:
        is_option = isinstance(item, str) and item.startswith("-") and item.count(" ") == 0
        if takes_password and is_option and item.startswith(takes_password) and item[2:3].isalnum():
            clean.append(takes_password + REDACTED)  # mysql -psecret
            takes_password = None
            continue
        clean.append(_scrub_any(item, tier if is_option else max(tier, of_option), secrets, depth))
        of_option = HARMLESS
        if isinstance(item, str) and not is_option:
            takes_password = password_option(item) or takes_password
        if is_option and item in ("-u", "--user", "--proxy-user"):
            of_option = DOUBTFUL
        elif is_option and item == takes_password:
            of_option, takes_password = SECRET, None
        elif is_option and "=" not in item:
            of_option = secrecy(item.lstrip("-"))
    return clean


def _hides(tier: int, text: str) -> bool:
    """Whether a text under a name of this tier is hidden."""
    if not text or re.fullmatch(_REFERENCE, text):
        return False
    if tier == SECRET:
        return True
    is_plain = re.fullmatch(_NUMBER, text) or re.fullmatch(_SPECIAL, text)
    return not (is_plain or (tier == OF_MODEL and re.fullmatch(_WORDS, text)))


def _scrub_text(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, REDACTED)
    if len(text) < 4 or text.isalpha():
        return text
    if "://" in text:
        text = hide_in_urls(re.sub(_USERINFO, REDACTED + "@", text))
    text = hide_tokens(text)
    if re.search(_HINT, text):
        text = hide_of_programs(text)
        text = re.sub(_SCHEME, rf"\1\2{REDACTED}", text)
        text = re.sub(_USER_OPTION, rf"\1\2\3:{REDACTED}", text)
        text = re.sub(_LOGIN, rf"\1{REDACTED}", text)
        text = _substitute_pairs(_PAIR, text)
        text = _substitute_pairs(_OPTION, text)
    return text if len(text) < 20 else hide_random(text)


def _substitute_pairs(source: str, text: str) -> str:
    """Hide the value of every pair with a secret name.

    A pair whose name is harmless is stepped over by its name only: the value of
    ``url=https://host/?token=abc`` holds a pair itself.
    """
    pattern = re.compile(source)
    parts: list[str] = []
    at = kept = 0
    while (found := pattern.search(text, at)) is not None:
        tier = secrecy(found["name"].lstrip("-"))
        bare = found["value"].strip("\"'\\")
        if tier in (OF_MODEL, DOUBTFUL) and _is_innocent(found, bare):
            tier = HARMLESS
        if tier and bare != REDACTED and _hides(tier, bare):
            quote = found["value"][0] if found["value"][0] in "\"'" else ""
            parts += [text[kept : found.start("value")], quote, REDACTED, quote]
            at = kept = found.end("value")
        else:
            at = found.end("name")
    return "".join([*parts, text[kept:]]) if parts else text


def _is_innocent(pair: re.Match[str], value: str) -> bool:
    """Whether a pair is prose ("the key: patience.") or part of a path ("key=3/part.csv")."""
    is_word = pair["between"].endswith(": ") and value.rstrip(".!?").isalpha()
    return is_word or pair.string[max(0, pair.start() - 1) : pair.start()] == "/"


def _known_secrets() -> list[str]:
    """Return the values of this process's own secret variables, the longest first.

    They are recognised wherever they turn up again: in a command, a URL, another variable.
    """
    found: set[str] = set()
    for name, value in os.environ.items():
        if "://" in value:
            found.update(m[0][:-1].partition(":")[2] for m in re.finditer(_USERINFO, value))
        if sounds_secret(name) and not value.startswith(("/", "unix:", "~")):
            found.add(value)
    return sorted(filter(_is_telling, found), key=len, reverse=True)


def _is_telling(value: str) -> bool:
    """Whether a secret's value is long and odd enough to be recognised in other texts."""
    if len(value) < _MIN_KNOWN or value.isspace():
        return False
    return not value.isalpha() or len(value) >= 2 * _MIN_KNOWN
