"""Find the placeholders of a runner command and how the shell reads each one's place."""

import functools
import re
from collections.abc import Callable, Collection
from typing import NamedTuple

_PLACEHOLDER = re.compile(r"\{([^\s{}!]+)(!raw)?\}")
_VARIABLE = re.compile(r"[A-Za-z0-9_]+")
_WORD = re.compile(r"[\w\[]*")
# Words after which the shell reads its arguments a second time, as code or arithmetic.
_REREADERS = frozenset({"eval", "let", "trap", "declare", "typeset", "[["})

COMMAND = "the command"
SUBSHELL = "(...)"
SUBSTITUTION = "$(...)"
SINGLE = "single quotes"
DOUBLE = "double quotes"
ANSI = "$'...' quotes"
BACKTICKS = "backticks"
PARAMETER = "${...}"
ARITHMETIC = "((...))"
PARENTHESES = "parentheses in ((...))"
COMMENT = "a comment"
PLAIN = frozenset({COMMAND, SUBSHELL, SUBSTITUTION})


class Slot(NamedTuple):
    """One placeholder and how the shell reads the place where it stands.

    Attributes
    ----------
    start, end : int
        Its place in the template.
    name : str
        The word in the braces.
    raw : bool
        Whether it is written ``{name!raw}``.
    inside : str
        The innermost context, in words.
    exact : bool
        Whether that context stands in plain command text and was recognized with certainty.
    braces : bool
        Whether an unquoted ``{`` came before: bash expands ``{a,b}`` and ``{1..3}``.
    """

    start: int
    end: int
    name: str
    raw: bool
    inside: str
    exact: bool
    braces: bool

    @property
    def is_plain(self) -> bool:
        """Whether quotes put around a value here mean what they say."""
        return self.exact and self.inside in PLAIN


@functools.lru_cache(maxsize=64)
def find_slots(template: str, known: Collection[str] | None) -> tuple[Slot, ...]:
    """Return the placeholders of `template` in their order.

    Parameters
    ----------
    template : str
        The runner command.
    known : frozenset of str or None
        Names that are placeholders; other words in braces are plain text. None: every name.
    """
    return tuple(_Scanner(template, known).slots())


class _Scanner:
    """Follows the shell's quoting through a template and notes where placeholders stand.

    The stack holds the contexts around the present position, outermost first. Where shells
    differ, or only a whole shell parser could tell, the scanner gives up: all that follows is
    then one context of which nothing is certain.
    """

    def __init__(self, template: str, known: Collection[str] | None) -> None:
        self._template = template
        self._known = known
        self._stack = [COMMAND]
        self._uncertain = ""
        self._in_word = False
        self._braces = False
        self._steps: dict[str, Callable[[int], int]] = {
            SINGLE: self._in_single,
            ANSI: self._in_ansi,
            DOUBLE: self._in_double,
            BACKTICKS: self._in_backticks,
            PARAMETER: self._in_parameter,
            ARITHMETIC: self._in_arithmetic,
            PARENTHESES: self._in_arithmetic,
            COMMENT: self._in_comment,
        }

    def slots(self) -> list[Slot]:
        """Return the placeholders in their order."""
        found: list[Slot] = []
        position = 0
        while position < len(self._template):
            slot = self._placeholder(position)
            if slot is not None:
                found.append(slot)
                position = slot.end
                self._in_word = True
            elif self._uncertain:
                position += 1
            else:
                position = self._steps.get(self._stack[-1], self._in_command)(position)
        return found

    def _placeholder(self, position: int) -> Slot | None:
        if position > 0 and self._template[position - 1] == "$":
            return None
        match = _PLACEHOLDER.match(self._template, position)
        if match is None or not self._is_name(match[1]):
            return None
        inside = self._uncertain or self._stack[-1]
        exact = not self._uncertain and all(context in PLAIN for context in self._stack[:-1])
        raw = match[2] is not None
        return Slot(position, match.end(), match[1], raw, inside, exact, self._braces)

    def _is_name(self, word: str) -> bool:
        return word.isidentifier() if self._known is None else word in self._known

    def _char(self, position: int) -> str:
        return self._template[position : position + 1]

    def _give_up(self, reason: str, position: int) -> int:
        self._uncertain = reason
        return position + 1

    def _push(self, context: str, position: int) -> int:
        self._stack.append(context)
        self._in_word = False
        return position

    def _pop(self, position: int) -> int:
        self._stack.pop()
        self._in_word = True
        return position

    def _in_command(self, position: int) -> int:
        char = self._char(position)
        if char == "\\":
            return self._backslash(position)
        if char == "$":
            return self._dollar(position)
        if char == "'":
            return self._push(SINGLE, position + 1)
        if char == '"':
            return self._push(DOUBLE, position + 1)
        if char == "`":
            return self._push(BACKTICKS, position + 1)
        if char == "#":
            return self._hash(position)
        if char == "(":
            if self._char(position + 1) == "(":
                return self._push(ARITHMETIC, position + 2)
            return self._push(SUBSHELL, position + 1)
        if char == ")":
            # A ) that opens the branch of a case matches nothing on the stack.
            was_substitution = self._stack[-1] == SUBSTITUTION
            if len(self._stack) > 1:
                self._stack.pop()
            self._in_word = was_substitution
            return position + 1
        if char == "<" and self._char(position + 1) in ("<", "\\"):
            return self._give_up("text after a here-document's <<", position)
        if char in " \t\n;&|<>":
            self._in_word = False
            return position + 1
        return self._word(position)

    def _hash(self, position: int) -> int:
        if position > 0 and self._char(position - 1) in ")}":
            # A comment or not: that depends on what the bracket closed.
            return self._give_up("text after a '#' behind a bracket", position)
        return position + 1 if self._in_word else self._push(COMMENT, position + 1)

    def _word(self, position: int) -> int:
        char = self._char(position)
        if not self._in_word:
            word = _WORD.match(self._template, position)
            name = word[0] if word else ""
            if name in _REREADERS:
                return self._give_up(f"text after {name}", position)
            if name == "case" and len(self._stack) > 1:
                return self._give_up("text after a nested case", position)
        self._in_word = True
        self._braces = self._braces or char == "{"
        return position + 1

    def _backslash(self, position: int) -> int:
        if self._char(position + 1) != "\n":
            self._in_word = True
        elif position > 0 and self._char(position - 1) not in " \t\n":
            # The shell joins the lines before it looks for words, $( and <<.
            return self._give_up("text after a line joined inside a word", position)
        return position + 2

    def _dollar(self, position: int) -> int:
        """Step over ``$`` and what it introduces, in plain text, double quotes or arithmetic."""
        self._in_word = True
        rest = self._template[position + 1 : position + 3]
        is_plain = self._stack[-1] in PLAIN
        if rest == "((":
            return self._push(ARITHMETIC, position + 3)
        if rest[:1] == "(":
            return self._push(SUBSTITUTION, position + 2)
        if rest[:1] == "{":
            if rest[1:] in (" ", "\t", "\n", "|"):
                return self._give_up("text after '${ '", position)
            return self._push(PARAMETER, position + 2)
        if rest[:1] == "[":
            return self._give_up("text after $[", position)
        if rest[:1] == "'" and is_plain:
            return self._push(ANSI, position + 2)
        name = _VARIABLE.match(self._template, position + 1)
        if name:
            return name.end()
        return position + (2 if rest[:1] in tuple("$@*#?-!") else 1)

    def _in_single(self, position: int) -> int:
        return self._pop(position + 1) if self._char(position) == "'" else position + 1

    def _in_ansi(self, position: int) -> int:
        if self._template.startswith("\\'", position):
            return self._give_up("text after a \\' in $'...'", position)  # dash ends here
        if self._char(position) == "\\":
            return position + 2
        return self._in_single(position)

    def _in_double(self, position: int) -> int:
        char = self._char(position)
        if char == '"':
            return self._pop(position + 1)
        if char == "\\":
            return self._backslash(position)
        if char == "`":
            return self._push(BACKTICKS, position + 1)
        return self._dollar(position) if char == "$" else position + 1

    def _in_backticks(self, position: int) -> int:
        char = self._char(position)
        if char == "`":
            return self._pop(position + 1)
        return position + (2 if char == "\\" else 1)

    def _in_parameter(self, position: int) -> int:
        char = self._char(position)
        if char == "}":
            return self._pop(position + 1)
        if char == "$":
            return self._dollar(position)
        if char in "'\"`\\({\n":
            return self._give_up("text after a quoted ${...}", position)
        return position + 1

    def _in_arithmetic(self, position: int) -> int:
        char = self._char(position)
        if char == "(":
            return self._push(PARENTHESES, position + 1)
        if char == ")":
            if self._stack[-1] == PARENTHESES:
                return self._pop(position + 1)
            if self._char(position + 1) == ")":
                return self._pop(position + 2)
        if char == "$":
            return self._dollar(position)
        if char in ")'\"`\\#;\n":
            return self._give_up("text after an unusual ((...))", position)
        return position + 1

    def _in_comment(self, position: int) -> int:
        if self._char(position) == "\n":
            self._stack.pop()
            self._in_word = False
        return position + 1
