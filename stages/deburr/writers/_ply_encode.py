"""Encodes columns as the rows of a PLY element, binary or text, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from deburr.formats.ply.header import Array, Lists
from deburr.writers._ply_fields import Field

#: Rows encoded at a time; bounds the memory a copy takes.
CHUNK = 1 << 16


def binary(fields: Sequence[Field], rows: int, order: str) -> Iterator[bytes]:
    """The rows in byte order ``order`` (``<`` or ``>``)."""
    if any(isinstance(field.values, Lists) for field in fields):
        if rows:
            yield _with_lists(fields, rows, order)
        return
    layout = np.dtype([(field.property.name, field.property.stored(order)) for field in fields])
    for start in range(0, rows, CHUNK):
        block = np.empty(min(CHUNK, rows - start), layout)
        for field in fields:
            assert isinstance(field.values, np.ndarray)
            block[field.property.name] = field.values[start : start + len(block)]
        yield block.tobytes()


def _with_lists(fields: Sequence[Field], rows: int, order: str) -> bytes:
    """Rows of varying length: every value's bytes are put where that row, and that value in it, begins."""
    pieces: list[tuple[Array, Array]] = []  # each row's size in bytes, the values that make it
    for field in fields:
        if isinstance(field.values, Lists):
            counts = field.values.counts.astype(field.property.first(order))
            pieces.append((np.full(rows, counts.itemsize), counts))
            values = field.values.values.astype(field.property.stored(order))
            pieces.append((field.values.counts * values.itemsize, values))
        else:
            values = field.values.astype(field.property.stored(order))
            pieces.append((np.full(rows, values.itemsize), values))
    sizes = np.stack([size for size, _ in pieces], axis=1)
    starts = (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape)
    out = np.empty(int(sizes.sum()), np.uint8)
    for column, (size, values) in enumerate(pieces):
        inside = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
        out[np.repeat(starts[:, column], size) + inside] = values.view(np.uint8)
    return out.tobytes()


def text(fields: Sequence[Field], rows: int, precision: int | None) -> Iterator[bytes]:
    """The rows as lines; numbers by their shortest spelling that reads back alike, or with ``precision`` decimals."""
    for start in range(0, rows, CHUNK):
        stop = min(start + CHUNK, rows)
        columns = [_words(field.values, start, stop, precision) for field in fields]
        yield "".join(" ".join(row) + "\n" for row in zip(*columns, strict=True)).encode()


def _words(values: Array | Lists, start: int, stop: int, precision: int | None) -> list[str]:
    if isinstance(values, Lists):
        chunk = values.take(np.arange(start, stop))
        numbers = _spell(chunk.values, precision)
        ends = np.cumsum(chunk.counts).tolist()
        starts = [0, *ends[:-1]]
        return [" ".join([str(b - a), *numbers[a:b]]) for a, b in zip(starts, ends, strict=True)]
    return _spell(values[start:stop], precision)


def _spell(values: Array, precision: int | None) -> list[str]:
    if precision is not None and values.dtype.kind == "f":
        return [f"{value:.{precision}f}" for value in values.tolist()]
    words: list[str] = values.astype("U").tolist()
    return [word.removesuffix(".0") for word in words] if values.dtype.kind == "f" else words
