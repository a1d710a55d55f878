"""Foreign text made fit to be shown: names of files and columns, systems of coordinates, whatever a user has typed.

It may hold escape sequences that a terminal obeys, line breaks that make two rows of one, letters that turn the reading
direction, and megabytes. Everything that reaches a terminal, a log or a table goes through here; what is written into
files of data does not.
"""

from __future__ import annotations

import json
import re
from typing import Any

from deburr.core import addresses

#: Characters of a sentence that are shown, at most; a path alone may have 4,096.
MOST = 2000

_CODES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
#: What begins a formula, or may, in programs that open tables.
_FORMULA = ("=", "+", "-", "@")


def printable(text: object, most: int = MOST) -> str:
    """``text`` in one line of at most about ``most`` characters, all of which a terminal prints and none of which it
    obeys: others as escapes such as ``\\x1b``. What is left out stands in the middle: a sentence begins with where and
    ends with the remedy. What is printable and short stays as it is."""
    shown = short(addresses.shown(str(text)), most)
    return shown if shown.isprintable() else short("".join(map(_printed, shown)), most)


def short(text: str, most: int) -> str:
    """``text``, or its beginning and its end, about ``most`` characters together."""
    if len(text) <= most:
        return text
    half = (most - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def _printed(letter: str) -> str:
    code = ord(letter)
    if letter.isprintable():
        return letter
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return _CODES.get(letter) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else
                                  f"\\U{code:08x}")  # fmt: skip


def cell(text: object) -> str:
    """``text`` as a cell of a table: as `printable`, and never a formula."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def as_json(value: Any) -> str:
    """Indented JSON of ``value`` for people to read: letters of all languages as they are, all else escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return re.sub(r"[^\n]", lambda found: _escaped(found[0]), text) if _unfit(text) else text


def _unfit(text: str) -> bool:
    return not all(line.isprintable() for line in text.split("\n"))


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else json.dumps(letter)[1:-1]
