"""The file through which points that a program holds in memory go to deburr and come back: a PLY of columns.

It is for the hosts that `child.py` is for, and imports the standard library and numpy alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

#: Rows that are held as records at a time.
_ROWS = 1 << 18
_NAMES = {"<f8": "double", "<f4": "float", "|u1": "uchar"}
_TYPES = {"double": "<f8", "float": "<f4", "uchar": "u1", "float64": "<f8", "float32": "<f4", "uint8": "u1"}
_FORMAT = "format binary_little_endian 1.0"


def write(path: Path, columns: Mapping[str, Any]) -> None:
    """Write ``columns``, arrays (n,) of float64, float32 or uint8 by their names, as the properties of n vertices."""
    kind = np.dtype([(name, values.dtype.newbyteorder("<")) for name, values in columns.items()])
    count = len(next(iter(columns.values())))
    head = ["ply", _FORMAT, "comment For deburr", f"element vertex {count}"]
    head += [f"property {_NAMES[kind[name].str]} {name}" for name in columns]
    with path.open("wb") as file:
        file.write("\n".join([*head, "end_header\n"]).encode("utf-8"))
        for rows in _pieces(count):
            records = np.empty(rows.stop - rows.start, kind)
            for name, values in columns.items():
                records[name] = values[rows]
            file.write(records.tobytes())


def read(path: Path) -> dict[str, Any]:
    """The columns of a file that deburr has made of one that `write` wrote. Raises ValueError."""
    with path.open("rb") as file:
        kind, count = _head(file)
        columns = {name: np.empty(count, kind[name]) for name in kind.names or ()}
        for rows in _pieces(count):
            records = np.fromfile(file, kind, rows.stop - rows.start)
            for name, values in columns.items():
                values[rows] = records[name]
    return columns


def _pieces(count: int) -> Iterator[slice]:
    for start in range(0, count, _ROWS):
        yield slice(start, min(start + _ROWS, count))


def _head(file: BinaryIO) -> tuple[Any, int]:
    lines = [line.decode("utf-8").split() for line in iter(file.readline, b"end_header\n") if line]
    count = next(int(words[2]) for words in lines if words[:2] == ["element", "vertex"])
    fields = [(words[2], _TYPES[words[1]]) for words in lines if words[:1] == ["property"]]
    if lines[1] != _FORMAT.split() or len(set(dict(fields))) != len(fields):
        raise ValueError("not written as deburr writes what it was given")
    return np.dtype(fields), count
