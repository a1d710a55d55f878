"""A whole PLY file, which must hold points."""

from __future__ import annotations

from io import BytesIO
from typing import IO

from deburr.core.errors import ReadError
from deburr.core.files import size_of
from deburr.formats.ply.body import read_element
from deburr.formats.ply.header import MAX_HEADER, Columns, Header, parse_header


def load(stream: IO[bytes], path: str) -> tuple[Header, dict[str, Columns], int]:
    """The header, every element's columns, and how many bytes follow them. Raises `ReadError`."""
    head = stream.read(MAX_HEADER)
    header = parse_header(head, path)
    if "vertex" not in [element.name for element in header.elements]:
        raise ReadError(f"{path}: has no element 'vertex', so no points; check that this is the right file")
    missing = {"x", "y", "z"} - {p.name.lower() for p in header.vertex.properties if not p.count_type}
    if missing:
        raise ReadError(
            f"{path}: its vertices have no property {' or '.join(sorted(missing))}; "
            "rename the properties that hold the coordinates to x, y and z"
        )
    size = size_of(stream)
    stream.seek(header.size)
    if header.format == "ascii" and b"\n" not in head[: header.size]:
        stream = BytesIO(stream.read().replace(b"\r", b"\n"))  # lines as old Macs end them
        size -= header.size
    columns: dict[str, Columns] = {}
    for element in header.elements:
        columns[element.name] = read_element(stream, element, header, size - stream.tell(), path)
    rest = b"" if header.format == "ascii" else stream.read(1)
    return header, columns, size - stream.tell() + 1 if rest else 0
