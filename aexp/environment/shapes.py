"""Values that are secrets whatever name they stand under: known tokens, commands, random text.

All patterns are texts: most runs need none of them, and `re` keeps those it has compiled.
Every repetition has a bound, so that no text takes longer than in proportion to its length.
"""

import math
import re

REDACTED = "***"

# What services put in front of their tokens. The first are words that names begin with, too:
# a digit must follow somewhere.
_SHORT_PREFIXES = """
hf api_org npm gho ghu ghs ghr sk pk rk xapp lin_api nvapi r8 ntn tskey figd gsk
"""
_PREFIXES = """
ghp github_pat glpat gldt glrt glptt glcbt gloas dop_v1 doo_v1 dor_v1 xoxa xoxb xoxe xoxo xoxp xoxr
xoxs wandb_v1 dckr_pat shpat shpss sq0atp sq0csp xkeysib xsmtpsib sntrys rubygems lsv2_pt lsv2_sk
GOCSPX PMAK NRAK tgp_v1
"""
_MARKS = (
    *(mark + dash for mark in _SHORT_PREFIXES.split() for dash in "_-"),
    *_PREFIXES.split(),
    *("PRIVATE KEY", "SECRET-KEY-", "eyJ", "AKIA", "ASIA", "AROA", "AIDA", "AIza", "ya29."),
    *("SG.", "pypi-", "hooks.slack.com", "dapi", "dp.", "key-", "ATATT3", "hvs.", "hvb."),
    *("pplx-", "xai-", "sbp_", "rpa_", "fw_"),
)
_SHAPES = (
    r"""(?xs)-----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z\ ]*PRIVATE\ KEY-----|\Z)
    |\bAGE-SECRET-KEY-[0-9A-Z]+
    |\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?             # a JSON web token
    |\b(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{12,}
    |\bAIza[\w-]{30,}
    |\bya29\.[\w-]{10,}
    |\bSG\.[\w-]{10,}\.[\w-]{10,}
    |\bpypi-[\w-]{16,}
    |\bdapi[0-9a-f]{32}(?:-\d)?\b
    |\bdp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{16,}
    |\b(?:key-[0-9a-f]{32}|sbp_[0-9a-f]{40})\b
    |\bhv[sb]\.[\w-]{20,}|\bATATT3[\w=-]{20,}
    |\b(?:pplx-|xai-|rpa_|fw_)[A-Za-z0-9]{20,}
    |https://hooks\.slack\.com/\S+
    |\b(?:"""
    + "|".join(_PREFIXES.split())
    + r")[_-][A-Za-z0-9_-]{12,}|\b(?:"
    + "|".join(_SHORT_PREFIXES.split())
    + r")[_-](?=[\w-]{0,200}\d)[A-Za-z0-9_-]{12,}"
)
# Options of well-known programs: no name of theirs says what follows.
_PROGRAM = r"(?i)mysql\w*|mariadb[\w-]*|sshpass|redis-cli|ldap\w+|login"
_GLUED = r"(\b(?:mysql\w*|mariadb[\w-]*)\b[^|;&\n]{0,300}?\s-p)(\"[^\"]*\"|'[^']*'|[^\s|;&]+)"
_APART = (
    r"(\bsshpass\s+-p\s*"
    r"|\bredis-cli\b[^|;&\n]{0,200}?\s-a\s+"
    r"|\b(?:docker|podman|helm|skopeo)\s[^|;&\n]{0,100}?\blogin\b[^|;&\n]{0,200}?\s-p\s*"
    r"|\bldap(?:search|modify|add|delete|whoami)\b[^|;&\n]{0,300}?\s-w\s*"
    r"|\bmachine\s+\S{1,200}\s+login\s+\S{1,200}\s+password\s+)(\"[^\"]*\"|'[^']*'|[^\s|;&]+)"
)
_OPTION_OF = {
    "sshpass": "-p",
    "redis-cli": "-a",
    "mysql": "-p",
    "mariadb": "-p",
    "ldap": "-w",
    "login": "-p",  # docker login, podman login, helm registry login
}
# "the API key is 9f8e…": hexadecimal digits are a secret where a word beside them says so.
_NAMED_HEX = (
    r"(?i)((?:key|token|secret|passw(?:or)?d|passphrase|credentials?)\b['\"]?"
    r"(?:\s+(?:is|was|to))?[\s:=>'\"`(-]{1,6})[0-9a-f]{32,128}\b"
)
# Package indexes take a token as a part of the path.
_IN_PATH = (
    r"(://(?:dl\.cloudsmith\.io/(?!public/|basic/)|[^\s/]{1,200}/t/|packagecloud\.io/priv/))"
    r"([\w~.-]{6,200})(?=/|$|\s)"
)
_SEGMENT = r"(?<=/)[A-Za-z0-9]{16,64}(?=/|$|[\s?#'\"])"
_URL = r"://[^\s'\"<>]{1,2000}"
_OPAQUE = r"(?<![A-Za-z0-9])[A-Za-z0-9]{20,}={0,2}(?![A-Za-z0-9])"
_CHANGE = r"(?<=\d)(?=[A-Za-z])|(?<=[A-Za-z])(?=\d)"


def hide_tokens(text: str) -> str:
    """Hide tokens whose beginning tells which service they are for."""
    return re.sub(_SHAPES, REDACTED, text) if any(mark in text for mark in _MARKS) else text


def hide_in_urls(text: str) -> str:
    """Hide tokens that are parts of a URL's path."""

    def segment(found: re.Match[str]) -> str:
        return REDACTED if _is_random_segment(found[0]) else found[0]

    text = re.sub(_IN_PATH, rf"\1{REDACTED}", text)
    return re.sub(_URL, lambda url: re.sub(_SEGMENT, segment, url[0]), text)


def hide_of_programs(text: str) -> str:
    """Hide the passwords of ``mysql -pX``, ``sshpass -p X`` and the like, and named digits."""
    if re.search(_PROGRAM, text):
        text = re.sub(_GLUED, rf"\1{REDACTED}", text)
        text = re.sub(_APART, rf"\1{REDACTED}", text)
    return re.sub(_NAMED_HEX, rf"\1{REDACTED}", text)


def password_option(program: str) -> str | None:
    """Return the option of a program that takes a password, None when there is none."""
    name = program.rpartition("/")[2].lower()
    if not re.fullmatch(_PROGRAM, name):
        return None
    return next((o for known, o in _OPTION_OF.items() if name.startswith(known)), None)


def hide_random(text: str) -> str:
    """Hide long words that mix both cases and digits as no name does."""
    return re.sub(_OPAQUE, lambda m: REDACTED if _is_random(m[0]) else m[0], text)


def _is_random(word: str) -> bool:
    body = word.rstrip("=")
    if body.isdigit() or body.isalpha() or body.lower() == body or body.upper() == body:
        return False
    if max(map(len, re.findall("[a-z]+", body))) >= 6 or len(re.findall(_CHANGE, body)) < 4:
        return False
    return _entropy(body) > 3.5


def _is_random_segment(word: str) -> bool:
    """Whether a part of a path is a token: of one case, too, but not a hexadecimal digest."""
    if re.fullmatch("[0-9a-fA-F]+", word) or len(re.findall(_CHANGE, word)) < 4:
        return False
    return max(map(len, re.findall("[A-Za-z]+", word))) < 6 and _entropy(word) > 3


def _entropy(word: str) -> float:
    counts = [word.count(letter) / len(word) for letter in set(word)]
    return -sum(share * math.log2(share) for share in counts)
