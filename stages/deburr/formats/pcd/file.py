"""A whole PCD file: its points in each of the three encodings, and the dimensions that their fields are."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Floats, Ints
from deburr.core.errors import ReadError
from deburr.core.progress import advance
from deburr.formats.pcd.header import MAX_HEADER, Array, Header, PcdSource, parse_header
from deburr.formats.pcd.lzf import Damaged, unpack
from deburr.formats.text.layout import POINT, Layout
from deburr.formats.text.lines import blocks, fields, lines_of, wrong
from deburr.formats.text.names import dimension
from deburr.formats.text.source import Scan, TextSource

#: Fields that hold a colour in one number, and the dimensions which that is, by the place of their byte.
COLOURS = {"rgb": ("Blue", "Green", "Red"), "rgba": ("Blue", "Green", "Red", "Alpha")}


def load(data: bytes, path: str) -> tuple[Floats, PcdSource, int]:
    """The coordinates (N, 3) of all points, the file, and how many bytes follow the points. Raises `ReadError`."""
    header = parse_header(data[:MAX_HEADER], path)
    head = data[: header.size]
    left, text, xyz = 0, None, None
    if header.encoding == "ascii":
        values, text, xyz = _ascii(data, header, path)
    elif header.encoding == "binary":
        size = header.points * header.dtype.itemsize
        if len(data) - header.size < size:
            raise _short(header, (len(data) - header.size) // header.dtype.itemsize, path)
        records = np.frombuffer(data, header.dtype, header.points, header.size)
        values = [records[f"f{number}"] for number in range(len(header.fields))]
        left = len(data) - header.size - size
    else:
        values, left = _compressed(data, header, path)
    if xyz is None:
        xyz = np.empty((header.points, 3))
        for axis, number in enumerate(header.axes):
            xyz[:, axis] = values[number]
    dims, columns = _dimensions(header, values)
    return xyz, PcdSource(header, head, tuple(values), dims, columns, text), left


def _short(header: Header, there: int, path: str) -> ReadError:
    return ReadError(
        f"{path}: the header announces {header.points:,} points, but the file holds {there:,}; it is truncated or its "
        "header is wrong, get it again"
    )


def _compressed(data: bytes, header: Header, path: str) -> tuple[list[Array], int]:
    size = header.points * header.dtype.itemsize
    if not header.points:
        return [np.zeros((0, *field.shape), field.dtype) for field in header.fields], 0
    if len(data) < header.size + 8:
        raise _short(header, 0, path)
    packed, unpacked = struct.unpack_from("<II", data, header.size)
    begin = header.size + 8
    if unpacked != size:
        raise ReadError(
            f"{path}: its points are said to take {unpacked:,} bytes, and {header.points:,} points take {size:,}; the "
            "file is damaged, get it again"
        )
    if packed > len(data) - begin:
        raise ReadError(f"{path}: breaks off in its compressed points; it is truncated, get it again")
    try:
        body = unpack(data[begin : begin + packed], size)
    except Damaged as error:
        raise ReadError(
            f"{path}: its compressed points cannot be unpacked ({error}); the file is damaged, get it again"
        ) from None
    values, at = [], 0
    for field in header.fields:
        column = np.frombuffer(body, field.dtype, header.points * field.count, at)
        values.append(column.reshape(-1, *field.shape))
        at += header.points * field.size
    return values, len(data) - begin - packed


def _ascii(data: bytes, header: Header, path: str) -> tuple[list[Array], TextSource, Floats]:
    """The points, the text as it is spelt, and coordinates with all their digits."""
    lines = lines_of(data, header.size)
    if len(lines) < header.points:
        raise _short(header, len(lines), path)
    if len(lines) > header.points:
        raise wrong(lines, header.points, f"is one row more than the {header.points:,} points announced", path)
    words = [(number, place) for number, field in enumerate(header.fields) for place in range(field.count)]
    values: list[Array] = [np.empty((header.points, *field.shape), field.dtype) for field in header.fields]
    xyz, places = np.empty((header.points, 3)), np.zeros((header.points, 3), np.int64)
    decimals = [0] * len(words)
    for first, last in blocks(lines, 0, header.points):
        found = fields(lines, first, last, len(words), None, path)
        for column, (number, place) in enumerate(words):
            parsed = found.numbers(column, POINT)
            field = header.fields[number]
            bad = parsed.wrong if parsed.wrong is not None else _unfit(parsed.values, field.dtype)
            if bad is not None:
                raise ReadError(
                    f"{path}: line {lines.number(first + bad)} has {found.word(bad, column)!r} in field "
                    f"'{field.name[:40]}' of type {field.dtype.name}, which it is not; correct that line"
                )
            part = values[number][first:last]
            with np.errstate(over="ignore"):
                (part if field.count == 1 else part[:, place])[...] = parsed.values
            if number in header.axes:
                xyz[first:last, header.axes.index(number)] = parsed.values
                places[first:last, header.axes.index(number)] = parsed.places
            decimals[column] = max(decimals[column], parsed.decimals)
        advance("read points", last, header.points)
    for axis, number in enumerate(header.axes):
        stored = values[number].astype(np.float64)
        if header.fields[number].dtype.kind != "f" or _means(xyz[:, axis], stored, places[:, axis]):
            xyz[:, axis] = stored
    names = dict(zip(header.axes, "XYZ", strict=True))
    found_dims, columns = _dimensions(header, values)
    own = {number: name for name, number in found_dims.items() if columns[name].ndim == 1}
    plain = {n: name for n, name in own.items() if header.fields[n].name.lower() not in COLOURS}
    dims = tuple(names.get(number, plain.get(number, f"word {column}")) for column, (number, _) in enumerate(words))
    layout = Layout(None, POINT, dims, dims, named=(0, 0))
    whole = Scan(0, int(lines.begins[0]) if header.points else len(data), 0, header.points)
    zeros = np.zeros(header.points, np.int64)
    text = TextSource(
        path, "rows", lines, layout, (whole,), {name: columns[name] for name in plain.values()}, tuple(decimals), zeros,
        np.zeros(0, np.int64), frozenset(columns.keys() - set(plain.values())),
    )  # fmt: skip
    return values, text, xyz


def _means(told: Floats, stored: Floats, places: Ints) -> bool:
    """Whether numbers of a text, with ``places`` digits behind the point, are only how the ``stored`` ones, of 32
    bits, are spelt: then these are meant. Where a text has more digits, as UTM coordinates with millimetres, those
    are."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        return not (np.abs(told - stored) > 0.5000001 * 10.0 ** -places.astype(np.float64)).any()


def _unfit(values: Floats, dtype: np.dtype[Any]) -> int | None:
    """The first of ``values`` that a whole number of ``dtype`` is not."""
    if dtype.kind == "f":
        return None
    limits = np.iinfo(dtype)
    # As float64, the largest of 64 bits is one too many.
    bad = ~((values >= float(limits.min)) & (values < float(limits.max) + 1) & (values == np.floor(values)))
    return int(bad.argmax()) if bad.any() else None


def _dimensions(header: Header, values: Sequence[Array]) -> tuple[dict[str, int], dict[str, Array]]:
    """The number of the field of each dimension, and its column."""
    dims: dict[str, int] = {}
    columns: dict[str, Array] = {}

    def add(name: str, number: int, column: Array) -> None:
        while name in columns or name in ("X", "Y", "Z"):
            name = f"{name}_{number}"
        dims[name], columns[name] = number, column

    for number, field in enumerate(header.fields):
        if number in header.axes or field.name == "_":
            continue
        column = values[number]
        colours = COLOURS.get(field.name.lower())
        if colours is not None and field.size == 4 and field.count == 1:
            for place, name in enumerate(colours):
                add(name, number, _bytes(column)[:, place].copy())
            continue
        known = dimension(field.name)
        name = field.name if known in ("X", "Y", "Z") else known
        add(name, number, np.ascontiguousarray(column, column.dtype.newbyteorder("=")))
    return dims, columns


def _bytes(column: Array) -> npt.NDArray[np.uint8]:
    """(N, 4) the bytes of numbers of four."""
    return np.ascontiguousarray(column).view(np.uint8).reshape(-1, 4)
