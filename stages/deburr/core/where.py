"""The language of ``where``: conditions on a point's coordinates and dimensions, as in PDAL's option of that name.

    condition  = both {"||" both}                   a point that meets either
    both       = negation {"&&" negation}           a point that meets both
    negation   = {"!"} comparison
    comparison = sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum]
    sum        = product {("+" | "-") product}
    product    = factor {("*" | "/") factor}
    factor     = {"-"} (number | dimension | "(" condition ")")

A dimension is a name such as ``Classification``, or X, Y, Z; one with blanks or signs in it stands in single quotes.
Parsed here, and never handed to Python: an expression can read columns, compare and compute, nothing else.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import did_you_mean

#: No condition that a person writes is longer, or nested deeper.
MOST_LETTERS, MOST_LEVELS = 4000, 32

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_BINARY: dict[str, Callable[[Any, Any], Any]] = _COMPARE | {
    "||": np.logical_or, "&&": np.logical_and,
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip
_UNARY: dict[str, Callable[[Any], Any]] = {"!": np.logical_not, "negative": operator.neg}

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|'(?P<quoted>[^']+)'"
    r"|(?P<sign>\|\||&&|[=!<>]=|[-+*/()!<>]))"
)
#: What people who know other languages write.
_MEANT = {"=": "==", "&": "&&", "|": "||", "and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}


class WhereError(ValueError):
    """A condition that cannot be read, or that a cloud cannot answer; the message begins with the position in it."""


@dataclass(frozen=True)
class Token:
    """``kind`` is number, name, end, or the sign itself; ``at`` the position, counted from 1."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Condition:
    """A condition, parsed into postfix order: values come before the sign that joins them."""

    program: tuple[Token, ...]

    @property
    def dimensions(self) -> frozenset[str]:
        """The dimensions that it asks for, coordinates aside."""
        return frozenset(token.text for token in self.program if token.kind == "name") - {"X", "Y", "Z"}

    def of(self, cloud: PointCloud) -> Bools:
        """(N,) bool: the points that meet it. Raises `WhereError` for a dimension that ``cloud`` has not.

        Computed in float64. A comparison with NaN is false, but for ``!=``.
        """
        stack: list[Any] = []
        with np.errstate(all="ignore"):
            for token in self.program:
                if token.kind == "number":
                    stack.append(np.float64(token.text))
                elif token.kind == "name":
                    stack.append(_column(cloud, token))
                elif token.kind in _UNARY:
                    stack.append(_UNARY[token.kind](stack.pop()))
                else:
                    right = stack.pop()
                    stack.append(_BINARY[token.kind](stack.pop(), right))
        return np.array(np.broadcast_to(stack.pop(), len(cloud)), dtype=np.bool_)


def parse(text: str) -> Condition:
    """Read a condition. Raises `WhereError`."""
    if len(text) > MOST_LETTERS:
        raise WhereError(f"position {MOST_LETTERS + 1}: the condition goes on for {len(text):,} letters; shorten it")
    return _Parser(_tokens(text)).parse()


def _tokens(text: str) -> list[Token]:
    tokens, at = [], 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise _wrong(at + 1, text[at], "is not understood")
        kind = str(found.lastgroup)
        word = found[kind]
        if word in _MEANT and kind != "quoted":
            raise _wrong(found.start(kind) + 1, word, "is not understood")
        tokens.append(Token({"quoted": "name", "sign": word}.get(kind, kind), word, found.start(kind) + 1))
        at = found.end()
    return [*tokens, Token("end", "the end", len(text) + 1)]


def _wrong(at: int, word: str, what: str) -> WhereError:
    remedy = f"write '{_MEANT[word]}'" if word in _MEANT else "an example: Classification == 2 && Z > 3"
    return WhereError(f"position {at}: '{word}' {what}; {remedy}")


def _column(cloud: PointCloud, token: Token) -> Floats:
    name = token.text
    if name in ("X", "Y", "Z"):
        return cloud.xyz[:, "XYZ".index(name)]
    known = ("X", "Y", "Z", *cloud.dims)
    if name not in known:
        alike = [other for other in known if other.casefold() == name.casefold()]
        hint = f"; did you mean '{alike[0]}'?" if alike else did_you_mean(name, known)
        raise WhereError(
            f"position {token.at}: the cloud has no dimension '{name}'{hint or '; it has ' + ', '.join(known)}"
        )
    column = np.asarray(cloud.dims[name])
    if column.ndim != 1 or column.dtype.kind not in "biuf":
        raise WhereError(f"position {token.at}: '{name}' is not one number a point; use another dimension")
    # In their own type, sums of small integers would overflow.
    return column.astype(np.float64)


class _Parser:
    """Recursive descent. Every method appends what it read to the program, and tells whether that is a condition."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._levels = 0
        self._program: list[Token] = []

    def parse(self) -> Condition:
        start = self._seen
        kind = self._either()
        if self._seen.kind != "end":
            raise self._unexpected("an operator")
        self._need(kind, True, start)
        return Condition(tuple(self._program))

    @property
    def _seen(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *kinds: str) -> Token | None:
        if self._seen.kind not in kinds:
            return None
        self._next += 1
        return self._tokens[self._next - 1]

    def _unexpected(self, wanted: str) -> WhereError:
        found = self._seen
        shown = found.text if found.kind == "end" else f"'{found.text}'"
        return WhereError(f"position {found.at}: expected {wanted}, found {shown}; correct the condition there")

    def _need(self, condition: bool, wanted: bool, start: Token) -> None:
        if condition and not wanted:
            raise WhereError(f"position {start.at}: a condition cannot be computed with; join conditions by && or ||")
        if wanted and not condition:
            example = f", for example '{start.text} == 1'" if start.kind == "name" else ""
            raise WhereError(f"position {start.at}: a number is no condition; compare it{example}")

    def _chain(self, signs: tuple[str, ...], part: Callable[[], bool], conditions: bool) -> bool:
        """``part {sign part}``: the parts are conditions or numbers, and so is the whole."""
        start = self._seen
        kind = part()
        while sign := self._take(*signs):
            self._need(kind, conditions, start)
            start = self._seen
            kind = part()
            self._need(kind, conditions, start)
            self._program.append(sign)
        return kind

    def _either(self) -> bool:
        return self._chain(("||",), self._both, True)

    def _both(self) -> bool:
        return self._chain(("&&",), self._negation, True)

    def _negation(self) -> bool:
        signs = []
        while sign := self._take("!"):
            signs.append(sign)
        start = self._seen
        kind = self._comparison()
        if signs:
            self._need(kind, True, start)
        self._program += signs
        return kind

    def _comparison(self) -> bool:
        start = self._seen
        kind = self._sum()
        sign = self._take(*_COMPARE)
        if sign is None:
            return kind
        self._need(kind, False, start)
        start = self._seen
        self._need(self._sum(), False, start)
        self._program.append(sign)
        if self._seen.kind in _COMPARE:
            raise WhereError(f"position {self._seen.at}: comparisons cannot be chained; join two of them by '&&'")
        return True

    def _sum(self) -> bool:
        return self._chain(("+", "-"), self._product, False)

    def _product(self) -> bool:
        return self._chain(("*", "/"), self._factor, False)

    def _factor(self) -> bool:
        signs = []
        while sign := self._take("-"):
            signs.append(Token("negative", sign.text, sign.at))
        start = self._seen
        kind = self._atom()
        if signs:
            self._need(kind, False, start)
        self._program += signs
        return kind

    def _atom(self) -> bool:
        if value := self._take("number", "name"):
            self._program.append(value)
            return False
        if not (opened := self._take("(")):
            raise self._unexpected("a number, a dimension or '('")
        self._levels += 1
        if self._levels > MOST_LEVELS:
            raise WhereError(f"position {opened.at}: more than {MOST_LEVELS} parentheses in each other; use fewer")
        kind = self._either()
        if not self._take(")"):
            raise self._unexpected("')'")
        self._levels -= 1
        return kind
