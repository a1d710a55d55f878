"""E57 files made by hand: a tree as text, sections of records, an image; and files taken apart and put together."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deburr.formats.e57.pages import DATA, HEADER, PAGE, PageWriter, physical
from deburr.formats.e57.records import Field, encode

#: The fields of a record and their raw values.
Table = Mapping[Field, Any]

ROOT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<e57Root type="Structure" xmlns="http://www.astm.org/COMMIT/E57/2010-e57-v1.0" xmlns:nor="urn:n"'
    ' xmlns:x="urn:x">\n'
    '<formatName type="String"><![CDATA[ASTM E57 3D Imaging Data File]]></formatName>\n'
    '<guid type="String">{{1}}</guid>\n<coordinateMetadata type="String">{crs}</coordinateMetadata>\n'
    '<x:note type="String">a &lt; b</x:note>\n'
    '<data3D type="Vector" allowHeterogeneousChildren="1">{scans}</data3D>\n'
    '<images2D type="Vector" allowHeterogeneousChildren="1">{images}</images2D>\n</e57Root>\n'
)
CODECS = '<codecs type="Vector" allowHeterogeneousChildren="1"/>'
POSE = (
    '<pose type="Structure"><rotation type="Structure"><w type="Float">{}</w><x type="Float">{}</x>'
    '<y type="Float">{}</y><z type="Float">{}</z></rotation><translation type="Structure"><x type="Float">{}</x>'
    '<y type="Float">{}</y><z type="Float">{}</z></translation></pose>'
)


def integer(name: str, low: int, high: int, scale: float | None = None, offset: float = 0.0) -> Field:
    return Field(name, "integer", low, high, scale or 1.0, offset, scale is not None)


def prototype(fields: Sequence[Field]) -> str:
    told = []
    for one in fields:
        if one.kind != "integer":
            told.append(f'<{one.path} type="Float" precision="{one.kind}"/>')
        elif one.scaled:
            limits = f'minimum="{one.low}" maximum="{one.high}" scale="{one.scale!r}" offset="{one.offset!r}"'
            told.append(f'<{one.path} type="ScaledInteger" {limits}/>')
        else:
            told.append(f'<{one.path} type="Integer" minimum="{one.low}" maximum="{one.high}">{one.low}</{one.path}>')
    return "".join(told)


def made(
    scans: Sequence[Table],
    poses: Sequence[Sequence[float] | None] = (),
    image: bytes = b"",
    crs: str = "",
    more: str = "",
) -> bytes:
    """A file of ``scans``, each with ``more`` in its part of the tree; ``poses``: w, x, y, z, and the translation."""
    stream = io.BytesIO()
    pages = PageWriter(stream)
    told = []
    for number, table in enumerate(scans):
        fields, count = list(table), len(next(iter(table.values())))
        columns = {one.path: np.asarray(raw, one.dtype) for one, raw in table.items()}
        place = physical(pages.at)
        pages.write(encode(fields, columns, count, pages.at))
        pose = poses[number] if number < len(poses) else None
        told.append(
            f'<vectorChild type="Structure"><name type="String">scan {number}</name>'
            f"{POSE.format(*pose) if pose else ''}{more}"
            f'<points type="CompressedVector" fileOffset="{place}" recordCount="{count}">'
            f'<prototype type="Structure">{prototype(fields)}</prototype>{CODECS}</points></vectorChild>'
        )
    images = ""
    if image:
        images = (
            '<vectorChild type="Structure"><jpegImage type="Blob" '
            f'fileOffset="{physical(pages.at)}" length="{len(image)}"/></vectorChild>'
        )
        pages.write(bytes(8) + (16 + len(image)).to_bytes(8, "little"))
        pages.write(image)
    return closed(stream, pages, ROOT.format(scans="".join(told), images=images, crs=crs).encode())


def closed(stream: io.BytesIO, pages: PageWriter, xml: bytes) -> bytes:
    place = pages.at
    pages.write(xml)
    pages.close(place, len(xml))
    return stream.getvalue()


def apart(data: bytes) -> tuple[bytes, bytes]:
    """What is between the head and the tree, and the tree."""
    raw = np.frombuffer(data, np.uint8).reshape(-1, PAGE)[:, :DATA].tobytes()
    place, length = HEADER.unpack(data[: HEADER.size])[4:6]
    begin = place // PAGE * DATA + place % PAGE
    return raw[HEADER.size : begin], raw[begin : begin + length]


def together(between: bytes, xml: bytes) -> bytes:
    """A file with right checksums, whatever is in it."""
    stream = io.BytesIO()
    pages = PageWriter(stream)
    pages.write(between)
    return closed(stream, pages, xml)
