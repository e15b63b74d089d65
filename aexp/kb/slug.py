"""The part of a file name that is made from a title."""

# ruff: noqa: RUF001  (Cyrillic letters are meant)
import re
import unicodedata

MAX_LENGTH = 60
FALLBACK = "untitled"
_NAMED = re.compile(r"(?:LATIN|GREEK) SMALL (?:LETTER|LIGATURE) (?:[A-Z]+ )*?([A-Z]+)(?: WITH .*)?")
_CYRILLIC = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ж": "zh", "з": "z",
    "и": "i", "й": "y", "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p",
    "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f", "х": "kh", "ц": "ts", "ч": "ch",
    "ш": "sh", "щ": "shch", "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "yu", "я": "ya",
    "ё": "yo", "є": "ye", "і": "i", "ї": "yi", "ґ": "g", "ў": "u",
}  # fmt: skip


def slug(title: str) -> str:
    """Return lower-case ASCII words joined by dashes, at most 60 characters.

    Accents are dropped, ligatures and Greek and Cyrillic letters spelt out. A title in a
    script that cannot be spelt so becomes ``untitled``.
    """
    words = re.sub(r"[^a-z0-9]+", "-", "".join(_spelt(title))).strip("-")
    return words[:MAX_LENGTH].rstrip("-") or FALLBACK


def _spelt(title: str) -> list[str]:
    found = []
    for character in unicodedata.normalize("NFKC", title).casefold():
        if character.isascii():
            # An apostrophe is inside a word: what's, not what-s.
            found.append("" if character == "'" else character)
        elif character == "\u2019":
            continue
        elif character in _CYRILLIC:
            found.append(_CYRILLIC[character])
        else:
            found.append(_letter(character))
    return found


def _letter(character: str) -> str:
    base = unicodedata.normalize("NFKD", character)
    plain = "".join(c for c in base if not unicodedata.combining(c))
    if plain.isascii():
        return plain
    match = _NAMED.fullmatch(unicodedata.name(plain[0], ""))
    return match[1].lower() if match else "-"
