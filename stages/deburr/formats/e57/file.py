"""A whole E57 file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np

from deburr.core.arrays import Ints
from deburr.core.cloud import kinds
from deburr.core.reading import stamp
from deburr.formats.e57.pages import Pages, damaged, open_pages
from deburr.formats.e57.records import Column, Columns, decode, fields_of, number
from deburr.formats.e57.scan import Scan, check_places, own_limits, pose_of
from deburr.formats.e57.tree import Node, parse

#: Bytes before those of a blob, in its section.
BLOB_HEAD = 16
#: The number of a scan, from 1 on.
SCAN = "PointSourceId"


@dataclass(frozen=True)
class Origin:
    """A file, and its ``stamp`` (the size, and what tells its state), by which it is known again."""

    path: str
    stamp: tuple[int | str | None, ...]

    @classmethod
    def of(cls, stream: BinaryIO, path: str) -> Origin:
        """That of an open file."""
        return cls(path, stamp(stream))


@dataclass(frozen=True, eq=False)
class E57Source:
    """What an E57 file holds: its tree, its scans, and, by the ids of their nodes, tables beside their points, and the
    file of each image, which is there to be copied from."""

    path: str
    root: Node
    scans: tuple[Scan, ...]
    tables: dict[int, Columns] = field(default_factory=dict)
    blobs: dict[int, Origin] = field(default_factory=dict)

    @property
    def ends(self) -> Ints:
        """(S,) int64: behind the last row of each scan."""
        return np.cumsum([len(scan) for scan in self.scans], dtype=np.int64)

    @property
    def images(self) -> int:
        """How many images there are."""
        found = self.root.find("images2D")
        return len(found.children) if found else 0

    def beside_points(self) -> str:
        """What there is beside points, as a list in words; '' if nothing."""
        posed = sum(scan.pose is not None for scan in self.scans)
        found = [f"{self.images:,} images"] if self.images else []
        return ", ".join(found + ([f"the poses of {posed:,} scans"] if posed else []))

    def joined(self, others: Sequence[E57Source]) -> tuple[E57Source, list[int], list[str]] | None:
        """One source of the scans of this and the ``others``; see `deburr.core.merging.Joinable`."""
        from deburr.formats.e57.join import joined

        return joined([self, *others])


def load(stream: BinaryIO, path: str) -> E57Source:
    """All that is in an open file. Raises `ReadError`."""
    pages = open_pages(stream, path)
    root = parse(pages)
    data = root.find("data3D")
    nodes = data.children if data else []
    points = {id(table): node for node in nodes if (table := node.find("points"))}
    tables, taken = {}, 0
    for node in root.walk():
        if node.type == "CompressedVector":
            tables[id(node)], length = decode(pages, node)
            taken += length
        elif node.type == "Blob":
            taken += _checked_blob(pages, node)
        if taken > pages.size:
            raise damaged(path, "what is in it takes more room than it has")
    scans = []
    for place, node in enumerate(nodes, 1):
        table = node.find("points")
        if table is None or table.type != "CompressedVector":
            scans.append(Scan(node, place))
            continue
        scan = Scan(node, place, tuple(fields_of(table, path)), tables[id(table)], pose_of(node, path))
        check_places(scan, path)
        scans.append(scan)
    rest = {key: columns for key, columns in tables.items() if key not in points}
    blobs = dict.fromkeys((id(node) for node in root.walk() if node.type == "Blob"), Origin.of(stream, path))
    return E57Source(path, root, tuple(_with_limits(scans)), rest, blobs)


def _checked_blob(pages: Pages, node: Node) -> int:
    length = number(node, "length", pages.path)
    if pages.logical(number(node, "fileOffset", pages.path)) + BLOB_HEAD + length > pages.size:
        raise damaged(pages.path, "tells of an image that it does not have")
    return length


def _with_limits(scans: list[Scan]) -> list[Scan]:
    """The scans with limits that are the same in all, so that their values can be compared."""
    each = [own_limits(scan) for scan in scans]
    both: dict[str, tuple[float, float]] = {}
    for limits in each:
        for name, (low, high) in limits.items():
            before = both.get(name, (low, high))
            both[name] = (min(low, before[0]), max(high, before[1]))
    return [
        replace(scan, limits={name: both[name] for name in limits}) for scan, limits in zip(scans, each, strict=True)
    ]


def columns_of(source: E57Source) -> dict[str, Column]:
    """The dimensions of all points; 0 where a scan has not what others have."""
    each = [(len(scan), scan.dims()) for scan in source.scans if scan.fields]
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for _, dims in each for name in dims):
        common = np.result_type(*(kinds(dims)[name] for _, dims in each if name in dims))
        parts = [
            dims[name].astype(common, copy=False) if name in dims else np.zeros(count, common) for count, dims in each
        ]
        found[name] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return found


def crs_of(root: Node) -> str | None:
    """The system of coordinates that the file names; None for text that is none."""
    node = root.find("coordinateMetadata")
    text = node.text.strip() if node else ""
    return text if re.match(r"[A-Z_]+\s*\[|EPSG:\d+$", text) else None
