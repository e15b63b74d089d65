"""The grammar of conditions: text into the tree of `aexp.preregistration.condition`.

::

    condition   := all ("or" all)*
    all         := one ("and" one)*
    one         := "not" one | comparison
    comparison  := operand (("==" | "!=" | "<" | "<=" | ">" | ">=") operand)*
    operand     := name | number | text | "true" | "false" | "(" condition ")"
                 | "missing" "(" name ")" | "nan" "(" name ")"
    name        := letters, digits and _, joined by . or /; any other between backticks
    text        := 'text' or "text"; the quotation mark itself is written twice
"""

import math
import re
from typing import NamedTuple

from aexp.preregistration.condition import (
    KEYWORDS,
    OPERATORS,
    Both,
    Compare,
    Either,
    Literal,
    Name,
    Node,
    Not,
    Probe,
)

MAX_LENGTH = 10_000
_MAX_DEPTH = 60
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))"
    r"|(?P<name>[^\W\d]\w*(?:[./]\w+)*)"
    r"|(?P<quoted>`(?:[^`]|``)+`)"
    r"|(?P<text>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<operator>" + "|".join(map(re.escape, OPERATORS)) + r")"
    r"|(?P<bracket>[()])"
)
_HINTS = {
    "=": "write == to compare",
    "&": "write and",
    "|": "write or",
    "!": "write not, or != to compare",
    "'": "the quotation mark is not closed",
    '"': "the quotation mark is not closed",
    "`": "the backtick is not closed",
    "+": "there is no arithmetic: have the run log the number that you compare",
    "-": "there is no arithmetic; a name with a dash is written between backticks",
    "*": "there is no arithmetic: have the run log the number that you compare",
    "/": "there is no arithmetic: have the run log the number that you compare",
}

_NO_MEANING = "it means nothing here; a name with it is written between backticks"


class ConditionError(ValueError):
    """A text is no condition.

    Parameters
    ----------
    message : str
        What is wrong.
    column : int
        Where, from 1.
    """

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"column {column}: {message}")
        self.message = message
        self.column = column


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


def parse_condition(text: str) -> Node:
    """Return the tree of a condition.

    Raises
    ------
    ConditionError
        If the text is none, saying where.
    """
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"it is over {MAX_LENGTH} characters long", MAX_LENGTH)
    return _Parser(_tokens(text), len(text) + 1).parse()


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            character = text[position]
            hint = _HINTS.get(character, _NO_MEANING)
            if character.isdigit():
                hint = "no number begins so"
            raise ConditionError(f"{character!r}: {hint}", position + 1)
        kind = str(match.lastgroup)
        if kind != "space":
            found.append(_Token(kind, match[0], position + 1))
        position = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[_Token], end: int) -> None:
        self._tokens = tokens
        self._at = 0
        self._end = _Token("end", "", end)
        self._depth = 0

    def parse(self) -> Node:
        if not self._tokens:
            raise ConditionError("it is empty", 1)
        node = self._either()
        if self._now.kind != "end":
            word = self._now.text
            small = f"; write {word.lower()}" if word.lower() in KEYWORDS else ""
            raise ConditionError(
                f"{word!r} follows what is complete already{small}", self._now.column
            )
        return node

    @property
    def _now(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else self._end

    def _is(self, text: str) -> bool:
        return self._now.kind in ("name", "bracket") and self._now.text == text

    def _take(self) -> _Token:
        token = self._now
        self._at += 1
        return token

    def _expect(self, text: str) -> None:
        if not self._is(text):
            raise ConditionError(f"{text!r} is missing here", self._now.column)
        self._take()

    def _either(self) -> Node:
        nodes = [self._both()]
        while self._is("or"):
            self._take()
            nodes.append(self._both())
        return nodes[0] if len(nodes) == 1 else Either(tuple(nodes))

    def _both(self) -> Node:
        nodes = [self._one()]
        while self._is("and"):
            self._take()
            nodes.append(self._one())
        return nodes[0] if len(nodes) == 1 else Both(tuple(nodes))

    def _one(self) -> Node:
        if self._is("not"):
            self._deeper()
            self._take()
            node = Not(self._one())
            self._depth -= 1
            return node
        return self._comparison()

    def _comparison(self) -> Node:
        operands, operators = [self._operand()], []
        while self._now.kind == "operator":
            at = self._now.column
            operators.append(self._take().text)
            operands.append(self._operand())
            for operand in operands[-2:]:
                if not isinstance(operand, Name | Literal):
                    raise ConditionError("only names, numbers and texts can be compared", at)
        if not operators:
            return operands[0]
        return Compare(tuple(operands), tuple(operators))

    def _operand(self) -> Node:
        token = self._take()
        if token.kind == "number":
            return Literal(_number(token))
        if token.kind == "text":
            quote = token.text[0]
            return Literal(token.text[1:-1].replace(quote * 2, quote))
        if token.kind == "quoted":
            return Name(token.text[1:-1].replace("``", "`"))
        if token.text == "(":
            self._deeper()
            node = self._either()
            self._expect(")")
            self._depth -= 1
            return node
        if token.kind == "name" and token.text in ("true", "false"):
            return Literal(token.text == "true")
        if token.kind == "name" and token.text in ("missing", "nan"):
            return self._test(token)
        if token.kind == "name" and token.text not in KEYWORDS:
            if self._is("("):
                raise ConditionError(
                    f"{token.text!r} is no function: there are missing(x) and nan(x)", token.column
                )
            return Name(token.text)
        what = f"before {token.text!r}" if token.text else "at the end"
        raise ConditionError(f"a name, a number or a text is missing {what}", token.column)

    def _test(self, token: _Token) -> Node:
        if not self._is("("):
            raise ConditionError(f"write {token.text}(name)", token.column)
        self._take()
        name = self._operand()
        if not isinstance(name, Name):
            raise ConditionError(f"{token.text}() takes the name of a metric", token.column)
        self._expect(")")
        return Probe(token.text, name)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ConditionError(f"it is nested over {_MAX_DEPTH} deep", self._now.column)


def _number(token: _Token) -> int | float:
    if len(token.text) > 400:
        raise ConditionError("the number is over 400 characters long", token.column)
    try:
        return int(token.text)
    except ValueError:
        value = float(token.text)
    if math.isinf(value):
        raise ConditionError("the number is too large", token.column)
    return value
