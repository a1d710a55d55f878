"""The records of an E57 file (its points, and other tables): columns of bits, in packets."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.errors import ReadError
from deburr.core.progress import advance
from deburr.formats.e57.pages import Pages, damaged, each, physical
from deburr.formats.e57.tree import Node

Column = npt.NDArray[Any]
#: Raw values by the paths of their fields: int64 of integers, scaled or not, float32, float64.
Columns = dict[str, Column]

#: More fields a record than anybody has; what is said to be constant takes no room in the file, but in memory.
_MOST_FIELDS = 100
_SECTION = struct.Struct("<B7xQQQ")
_INT64 = (-(2**63), 2**63 - 1)
#: Values packed or unpacked at a time.
_CHUNK = 1 << 14
#: Bytes of a packet, and of the head of one with data.
_PACKET, _HEAD = 65_536, 6


@dataclass(frozen=True)
class Field:
    """A field of a record: ``single`` or ``double``, or else integers from ``low`` to ``high`` (raw), whose values are
    ``raw * scale + offset``; ``scaled`` where the file says so."""

    path: str
    kind: str
    low: int = _INT64[0]
    high: int = _INT64[1]
    scale: float = 1.0
    offset: float = 0.0
    scaled: bool = False

    @property
    def bits(self) -> int:
        """How many bits a value takes."""
        return {"single": 32, "double": 64}.get(self.kind, (self.high - self.low).bit_length())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of raw values."""
        return np.dtype({"single": "<f4", "double": "<f8"}.get(self.kind, "<i8"))

    def values(self, raw: Column) -> Column:
        """What ``raw`` values mean."""
        return raw * self.scale + self.offset if self.scaled else raw

    def raw(self, values: Column) -> Column:
        """The raw values nearest to ``values``."""
        if self.kind != "integer":
            return values.astype(self.dtype)
        steps = (values - self.offset) / self.scale if self.scaled else values
        return np.rint(steps).astype(np.int64) if steps.dtype.kind == "f" else steps.astype(np.int64)

    def holding(self, raw: Column) -> Field:
        """The same field with limits that hold ``raw`` as well."""
        if self.kind != "integer" or not len(raw):
            return self
        return replace(self, low=min(self.low, int(raw.min())), high=max(self.high, int(raw.max())))


def fields_of(table: Node, path: str) -> list[Field]:
    """The fields of a record of ``table``, in their order. Raises `ReadError`."""
    prototype = table.find("prototype")
    found = [_field(node, name, path) for name, node in _leaves(prototype, "")] if prototype else []
    if not found or len(found) > _MOST_FIELDS or len({field.path for field in found}) < len(found):
        raise damaged(path, f"its records have {len(found)} fields, or some of the same name")
    return found


def _leaves(node: Node, before: str) -> Iterator[tuple[str, Node]]:
    for child in node.children:
        if child.type in ("Structure", "Vector"):
            yield from _leaves(child, f"{before}{child.name}/")
        else:
            yield before + child.name, child


def _field(node: Node, name: str, path: str) -> Field:
    told = node.attributes
    if node.type == "Float":
        return Field(name, "single" if told.get("precision") == "single" else "double")
    if node.type not in ("Integer", "ScaledInteger"):
        raise ReadError(
            f"{path}: its records have a field '{name}' of type {node.type or '?'}, which cannot be read; "
            "write the file anew without it"
        )
    try:
        low, high = (int(told.get(key, default)) for key, default in zip(("minimum", "maximum"), _INT64, strict=True))
        scale, offset = float(told.get("scale", 1)), float(told.get("offset", 0))
    except ValueError:
        raise damaged(path, f"the limits of its field '{name}' are no numbers") from None
    if not _INT64[0] <= low <= high <= _INT64[1] or not math.isfinite(scale) or not scale or not math.isfinite(offset):
        raise damaged(path, f"the limits of its field '{name}' make no sense")
    return Field(name, "integer", low, high, scale, offset, node.type == "ScaledInteger")


def number(node: Node, key: str, path: str) -> int:
    """An attribute that is a whole number of zero or more. Raises `ReadError`."""
    text = node.attributes.get(key, "")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise damaged(path, f"its {node.name} have no valid {key}")
    return int(text)


def decode(pages: Pages, table: Node) -> tuple[Columns, int]:
    """The records of ``table``, column by column, and how many bytes of the file they are. Memory is taken for those
    that the file has room for. Raises `ReadError`."""
    fields, count = fields_of(table, pages.path), number(table, "recordCount", pages.path)
    begin = pages.logical(number(table, "fileOffset", pages.path))
    if not count:
        return {field.path: np.zeros(0, field.dtype) for field in fields}, 0
    kind, length, data, _ = _SECTION.unpack(pages.read(physical(begin), _SECTION.size).tobytes())
    if kind != 1 or length < _SECTION.size:
        raise damaged(pages.path, "does not have its records where it says")
    if count > 8 * length:
        raise damaged(pages.path, f"promises {count} records in {length} bytes, which cannot hold them")
    start = pages.logical(data)
    if not begin <= start <= begin + length:
        raise damaged(pages.path, "does not have its records where it says")
    section = pages.read(data, begin + length - start)
    streams = _streams(section, len(fields), pages.path)
    for field, stream in zip(fields, streams, strict=True):
        if len(stream) * 8 < count * field.bits:
            raise damaged(pages.path, f"promises {count} records and holds {len(stream) * 8 // field.bits} at most")
    advance("reading records", 0, 0)
    columns = each(lambda pair: _unpacked(pair[1], pair[0], count), list(zip(fields, streams, strict=True)))
    return {field.path: column for field, column in zip(fields, columns, strict=True)}, length


def _streams(section: npt.NDArray[np.uint8], fields: int, path: str) -> list[bytes]:
    """The bytes of each field, those of all packets one after another."""
    data, at, head = np.ascontiguousarray(section).data, 0, _HEAD + 2 * fields
    parts: list[list[memoryview]] = [[] for _ in range(fields)]
    while at + 4 <= len(data):
        kind, size = data[at], int.from_bytes(data[at + 2 : at + 4], "little") + 1
        if size < 4 or at + size > len(data) or kind > 2:
            raise damaged(path, "a packet of its records is cut off, or of an unknown kind")
        if kind == 1:
            told = struct.unpack_from(f"<{fields}H", data, at + _HEAD) if head <= size else ()
            if data[at + 4 : at + 6] != fields.to_bytes(2, "little") or head + sum(told) > size or not told:
                raise damaged(path, "a packet of its records has other fields, or says lengths beyond its own")
            here = at + head
            for part, length in zip(parts, told, strict=True):
                part.append(data[here : here + length])
                here += length
        at += size
    return [b"".join(part) for part in parts]


def _unpacked(stream: bytes, field: Field, count: int) -> Column:
    if field.kind != "integer":
        return np.frombuffer(stream, field.dtype, count)
    if not field.bits:
        return np.broadcast_to(np.int64(field.low), count)
    if field.bits in (8, 16, 32, 64):
        narrow = np.frombuffer(stream, f"<u{field.bits // 8}", count)
        if not field.low:
            return narrow.astype(np.int64)
        found = narrow.astype(np.uint64)
        return (found + np.uint64(field.low % 2**64)).view(np.int64)
    # Each value lies in the eight bytes from the one on in which it begins, and of more than 57 bits, in a ninth.
    padded = np.frombuffer(stream + bytes(16), np.uint8)
    words = np.ndarray((len(stream) + 8,), "<u8", padded.data, strides=(1,))
    out = np.empty(count, np.uint64)
    mask, low = np.uint64(2**field.bits - 1), np.uint64(field.low % 2**64)
    for start in range(0, count, _CHUNK):
        first = np.arange(start, min(start + _CHUNK, count), dtype=np.int64) * field.bits
        byte, shift = first >> 3, (first & 7).view(np.uint64)
        value = words.take(byte)
        value >>= shift
        if field.bits > 57:
            high = padded[byte + 8].astype(np.uint64)
            value |= np.where(shift > 0, high << ((np.uint64(64) - shift) & np.uint64(63)), np.uint64(0))
        value &= mask
        value += low
        out[start : start + len(first)] = value
    return out.view(np.int64)


def _packed(raw: Column, field: Field) -> bytes:
    """The bytes of a field's raw values; their end is filled to a word, as other programs do."""
    if field.kind != "integer":
        return raw.astype(field.dtype).tobytes()
    bits, parts = field.bits, []
    if not bits:
        return b""
    values = (raw.astype(np.int64).view(np.uint64) - np.uint64(field.low % 2**64)).astype("<u8")
    if bits in (8, 16, 32, 64):
        return values.astype(f"<u{bits // 8}").tobytes()
    for start in range(0, len(values), _CHUNK):
        block = values[start : start + _CHUNK].view(np.uint8).reshape(-1, 8)[:, : -(-bits // 8)]
        split = np.unpackbits(np.ascontiguousarray(block), axis=1, bitorder="little")[:, :bits]
        parts.append(np.packbits(split.reshape(-1), bitorder="little").tobytes())
    data = b"".join(parts)
    word = next(size for size in (1, 2, 4, 8) if bits <= 8 * size)
    return data + bytes(-len(data) % word)


def encode(fields: Sequence[Field], columns: Mapping[str, Column], count: int, begin: int) -> bytes:
    """A section with ``count`` records, whose first byte is byte ``begin`` of the file's data."""
    streams = [_packed(columns[field.path], field) for field in fields]
    # Of 64 records, every field takes whole words.
    room = _PACKET - _HEAD - 2 * len(fields) - 4
    rows = max(room * 8 // max(sum(field.bits for field in fields), 1) // 64 * 64, 64)
    packets = []
    for start in range(0, max(count, 1), rows):
        last = start + rows >= count
        parts = [
            stream[start * field.bits // 8 : None if last else (start + rows) * field.bits // 8]
            for field, stream in zip(fields, streams, strict=True)
        ]
        head = struct.pack(f"<H{len(parts)}H", len(parts), *map(len, parts))
        packets.append(_packet(1, head + b"".join(parts)))
    body = b"".join(packets)
    data, index = begin + _SECTION.size, begin + _SECTION.size + len(body)
    entry = struct.pack("<HB9xQQ", 1, 0, 0, physical(data))
    body += _packet(0, entry)
    return _SECTION.pack(1, _SECTION.size + len(body), physical(data), physical(index)) + body


def _packet(kind: int, rest: bytes) -> bytes:
    rest += bytes(-(4 + len(rest)) % 4)
    return struct.pack("<BBH", kind, 0, 3 + len(rest)) + rest
