"""Structure-aware mutation: of JSON values, of lines, of tokens, of bytes. A function of the random numbers alone."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

#: Numbers and words at the edges of what types hold, of what formats allow, of what people mean.
NASTY: tuple[Any, ...] = (
    None, True, False, 0, -0.0, 1, -1, 2, 7, 18, 255, 256, -129, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31,
    -(2**31), -(2**31) - 1, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**29, 10**30,
    10**100, 10**308, 10**309, 10**400, -(10**400), 0.1, 0.5, 1e-5, 1e-300, 5e-324, 1e15, 1e16, 1e29, 1e300,
    1.7e308, -1e308, 3.0000000000000004, "", " ", "  x", "0", "-0", "00", "1", "-1", "+1", "1.", ".5", "+.5", "-.5",
    "1e5", "1E+5", "1e-400", "1e400", "1e999", "1e9999999", "0x10", "0b1", "1_000", "1,5", "1 000", "٣", "³", "½",
    "\uff11", "inf", "-inf", "Infinity", "nan", "NaN", "-nan", "-nan(ind)", "1.#QNAN", "1.#INF", "nil", "null", "none",
    "true", "True", "TRUE", "yes", "on", "[]", "{}", "[1,", '"', "'", "\\", "/", "//", "/*", "#", "..", "../..",
    "/etc/passwd", "/dev/null", "/dev/zero", "/proc/self/mem", "~", "~root", "$HOME", "${HOME}", "`id`", "$(id)",
    "; rm -rf x", "| id", "&& id", "%s", "%n", "%99999999s", "{0}", "{}", "{x.__class__}", "{index}", "=1+1",
    "=cmd|' /C calc'!A1", "@SUM(1)", "-2+3", "<script>", "&amp;", "' OR 1=1", "--", "-", "--help", "--debug", "\0",
    "a\0b", "\x01", "\x07", "\x08", "\t", "\n", "\r", "\r\n", "a\nb", "\x0b", "\x0c", "\x1b[31m", "\x1b]0;t\x07",
    "\x1b[2J", "\x7f", "\x80", "\x9b31m", "\xa0", "\xad", "\u200b", "\u200f", "\u2028", "\u2029", "\u202e",
    "\ufeff", "\ufffd", "\uffff", "\U0001f600", "e\u0301", "ﬁ", "İ", "ß", "Ω", "名前", "א", "\udcff", "\ud800",
    "x" * 33, "x" * 255, "x" * 256, "x" * 4097, "x" * 70_000, "x" * 200_000, "\n" * 70_000, "[" * 1200,
    "[" * 70_000, "{" * 1200, "(" * 1200, '["a"' * 1200, '{"a":' * 1200, "PROJCS[" * 1200, "1" * 30, "9" * 400,
    "9" * 5000, "-" + "9" * 5000, "0." + "1" * 5000, "1e" + "9" * 400, "&" * 5000, "!" * 5000, "-" * 5000,
    "(" * 3999, "X+" * 1999, "$x$", "$\\frac{", "$^$", "x.las", "x.ply", "x.copc.laz", "x.LAZ", ".las", "las",
    "a/b.las", "a\\b.las", "a*.las", "a?.las", "a[1].las", "x[/y].las", "http://x/y.laz", "file://[x",
    "s3://b/k.laz", "EPSG:4326", "EPSG:0", "EPSG:99999999999", "EPSG:٣٢", "filters.spd", "filters.", "readers",
    "readers.las", "writers.las", "filters.__init__", "filters._moves", "type", "__class__", "constructor",
    "vertex", "x", "end_header", [], {}, [None], [[]], [[[[[[[[]]]]]]]], {"": ""}, {"a": {"b": {"c": {}}}},
    [0] * 1001, ["x"] * 300, {"type": "filters.spd"},
)  # fmt: skip


def as_bytes(value: Any) -> bytes:
    """A nasty value as it stands in a file or on a command line."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")


def json_text(value: Any) -> bytes:
    return json.dumps(value).encode()


def of_json(base: Any, chance: random.Random) -> bytes:
    """A few changes somewhere in a JSON value; sometimes of its text besides."""
    value = copy.deepcopy(base)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        value = _changed(value, chance)
    data = json_text(value)
    return of_bytes(data, chance) if chance.random() < 0.2 else data


def _changed(value: Any, chance: random.Random) -> Any:
    inner = isinstance(value, dict | list) and len(value) > 0
    if inner and chance.random() < 0.8:
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        value[key] = _changed(value[key], chance)
        return value
    kind = chance.randrange(6)
    if kind == 0 and isinstance(value, dict):
        value[str(chance.choice(NASTY))[:300]] = chance.choice(NASTY)
    elif kind == 1 and isinstance(value, dict) and value:
        old = chance.choice(list(value))
        value[str(old)[:-1] or "x"] = value.pop(old)
    elif kind == 2 and isinstance(value, dict) and value:
        del value[chance.choice(list(value))]
    elif kind == 3 and isinstance(value, list):
        value.insert(chance.randint(0, len(value)), copy.deepcopy(chance.choice([*value, *NASTY[:60]])))
    elif kind == 4 and isinstance(value, list) and value:
        del value[chance.randrange(len(value))]
    else:
        return copy.deepcopy(chance.choice(NASTY))
    return value


_NUMBER = re.compile(rb"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")


def of_text(base: bytes, chance: random.Random, tokens: re.Pattern[bytes]) -> bytes:
    """A few of the ``tokens`` dropped, doubled, exchanged or replaced by others of the text or by nasty values."""
    data = base
    for _ in range(chance.choice((1, 1, 2, 4))):
        found = [match.span() for match in tokens.finditer(data)]
        if not found:
            break
        begin, end = chance.choice(found)
        other = chance.choice(found)
        pieces = (b"", data[begin:end] * 2, data[slice(*other)], as_bytes(chance.choice(NASTY)), data[begin:end] * 40)
        data = data[:begin] + chance.choice(pieces) + data[end:]
    if chance.random() < 0.3:
        numbers = [match.span() for match in _NUMBER.finditer(data)]
        if numbers:
            begin, end = chance.choice(numbers)
            data = data[:begin] + as_bytes(chance.choice(NASTY[:60])) + data[end:]
    return of_bytes(data, chance) if chance.random() < 0.15 else data


def of_bytes(base: bytes, chance: random.Random) -> bytes:
    """Bits turned, pieces cut off, dropped, doubled or overwritten."""
    data = bytearray(base)
    for _ in range(chance.choice((1, 1, 2, 5))):
        if not data:
            break
        at, size = chance.randrange(len(data)), chance.choice((1, 1, 2, 4, 8, 64, 1000))
        match chance.randrange(6):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at:]
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size]
            case 4:
                data[at : at + size] = chance.randbytes(min(size, len(data) - at))
            case _:
                data[at : at + size] = chance.choice((b"\0", b"\xff")) * min(size, len(data) - at)
    return bytes(data)
