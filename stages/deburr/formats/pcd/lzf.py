"""LZF, the compression of binary_compressed PCD files: runs of literal bytes, and copies of what came before.

Where the package python-neo-lzf is installed (``deburr[pcd]``), its C does the work, several times as fast; whatever it
cannot do is done, and blamed, here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

#: Bytes of a run, and of a copy, at most; how far back a copy reaches.
_RUN, _COPY, _BACK = 32, 264, 8192
#: Bytes that are packed together.
_PIECE = 1 << 20


class Damaged(ValueError):
    """What cannot be unpacked; the message is a clause."""


@cache
def _fast() -> Any:
    try:
        import lzf
    except ImportError:
        return None
    return lzf


def unpack(data: bytes, size: int) -> bytes:
    """The ``size`` bytes that ``data`` was made of. Raises `Damaged`; no more is held than ``data`` can make."""
    if size > len(data) * _COPY:
        raise Damaged(f"{len(data):,} bytes cannot hold {size:,}")
    if size and _fast() is not None:
        try:
            found = _fast().decompress(data, size)
        except ValueError:
            found = None
        if found is not None and len(found) == size:
            return bytes(found)
    return _unpacked(data, size)


def _unpacked(data: bytes, size: int) -> bytes:
    out, at, end = bytearray(), 0, len(data)
    try:
        while at < end:
            control = data[at]
            if control < _RUN:
                stop = at + control + 2
                out += data[at + 1 : stop]
                at = stop
            else:
                length = (control >> 5) + 2
                if length == 9:
                    at += 1
                    length += data[at]
                start = len(out) - ((control & 0x1F) << 8) - data[at + 1] - 1
                if start < 0:
                    raise Damaged("it points before its beginning")
                at += 2
                piece = out[start : start + length]
                if len(piece) < length:  # it overlaps what it makes
                    piece = (piece * (length // len(piece) + 1))[:length]
                out += piece
            if len(out) > size:
                raise Damaged(f"it holds more than the {size:,} bytes announced")
    except IndexError:
        raise Damaged("it breaks off") from None
    if at > end:
        raise Damaged("it breaks off")
    if len(out) != size:
        raise Damaged(f"it holds {len(out):,} bytes instead of {size:,}")
    return bytes(out)


def pack(data: bytes) -> bytes:
    """``data`` in LZF."""
    if data and _fast() is not None:
        # It gives up where packed bytes need more room than these, which they do by a 32nd at most.
        found = _fast().compress(data, len(data) + len(data) // _RUN + 16)
        if found is not None:
            return bytes(found)
    return b"".join(_packed(data[at : at + _PIECE]) for at in range(0, len(data), _PIECE))


def _packed(data: bytes) -> bytes:
    n = len(data)
    out: list[bytes] = []
    begin = 0
    for at, start in enumerate(_before(data) if n > 3 else []):
        if start < 0 or at < begin:
            continue
        length, most = 3, min(_COPY, n - at)
        while length < most and data[start + length] == data[at + length]:
            length += 1
        out.append(_literal(data[begin:at]))
        far, more = at - start - 1, length - 2
        head = (min(more, 7) << 5) | (far >> 8)
        out.append(bytes((head, far & 0xFF) if more < 7 else (head, more - 7, far & 0xFF)))
        begin = at + length
    return b"".join([*out, _literal(data[begin:])])


def _before(data: bytes) -> list[int]:
    """For each place the last one before, in reach of a copy, where the same three bytes stand; -1: none."""
    wide = np.frombuffer(data, np.uint8).astype(np.int64)
    words = (wide[:-2] << 16) | (wide[1:-1] << 8) | wide[2:]
    order = np.argsort(words, kind="stable")
    before, after = order[:-1], order[1:]
    near = (words[before] == words[after]) & (after - before <= _BACK)
    found = np.full(len(words), -1, np.int64)
    found[after[near]] = before[near]
    return list(found.tolist())


def _literal(data: bytes) -> bytes:
    parts = (data[at : at + _RUN] for at in range(0, len(data), _RUN))
    return b"".join(bytes((len(part) - 1,)) + part for part in parts)
