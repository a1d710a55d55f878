"""Puts an E57 file together: the tree and the scans that were read, with what has changed since, or new ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from itertools import pairwise
from typing import BinaryIO
from uuid import UUID

import numpy as np

from deburr.core.arrays import Dims, Ints
from deburr.core.cloud import PointCloud
from deburr.core.errors import WriteError
from deburr.core.files import size_of
from deburr.core.reading import opened
from deburr.formats.e57.file import BLOB_HEAD, E57Source, Origin
from deburr.formats.e57.pages import PAGE, Pages, PageWriter, physical
from deburr.formats.e57.records import Columns, Field, encode, fields_of
from deburr.formats.e57.scan import CARTESIAN, NORMALS_URI, OWN, OWN_URI, Scan
from deburr.formats.e57.tree import Node, as_xml
from deburr.writers._e57_scan import Written

#: Bytes of an image that are copied at a time.
_COPIED = 1 << 24
_COLORS = ("Red", "Green", "Blue")


#: The files that images are copied from, by the ids of their nodes in the tree to be written.
Blobs = dict[int, Origin]
#: The fields, raw values and number of records of tables, by the ids of their nodes in the tree to be written.
Tables = dict[int, tuple[list[Field], Columns, int]]


class Assembly:
    """A file in the making: a tree of its own, and the records of its tables."""

    def __init__(self, root: Node, scans: list[Written], tables: Tables, blobs: Blobs, path: str) -> None:
        self.root, self.path, self.tables, self.blobs = root, path, dict(tables), blobs
        for scan in scans:
            if (table := scan.node.find("points")) is not None:
                self.tables[id(table)] = (scan.fields, scan.raw, scan.count)
        used = {one.path.partition(":")[0] for fields, _, _ in self.tables.values() for one in fields}
        for prefix, uri in (("nor", NORMALS_URI), (OWN.removesuffix(":"), OWN_URI)):
            if prefix in used:
                root.attributes.setdefault(f"xmlns:{prefix}", uri)

    def write(self, stream: BinaryIO) -> None:
        """All of it. Raises `WriteError`, `OSError`."""
        pages = PageWriter(stream)
        with ExitStack() as files:
            old = {
                origin: self._old(origin, files.enter_context(opened(origin.path)))
                for origin in dict.fromkeys(self.blobs.values())
            }
            for node in self.root.walk():
                if node.type == "CompressedVector":
                    fields, raw, count = self.tables[id(node)]
                    node.attributes["fileOffset"] = str(physical(pages.at))
                    pages.write(encode(fields, raw, count, pages.at))
                    node.attributes["recordCount"] = str(count)
                elif node.type == "Blob":
                    self._copy(node, old[self.blobs[id(node)]], pages)
        xml, place = as_xml(self.root), pages.at
        pages.write(xml)
        pages.close(place, len(xml))

    def _old(self, origin: Origin, stream: BinaryIO) -> Pages:
        """A file that was read. Raises `WriteError` where it is another by now."""
        if Origin.of(stream, origin.path) != origin:
            raise WriteError(
                f"{self.path}: {origin.path} was changed since it was read, so that its images cannot be copied; "
                "nothing was written, run again"
            )
        return Pages(origin.path, stream, size_of(stream) // PAGE, (0, 0))

    def _copy(self, node: Node, old: Pages, pages: PageWriter) -> None:
        length, begin = int(node.attributes["length"]), old.logical(int(node.attributes["fileOffset"])) + BLOB_HEAD
        node.attributes["fileOffset"] = str(physical(pages.at))
        size = BLOB_HEAD + length + -length % 4
        pages.write(bytes(8) + size.to_bytes(8, "little"))
        for at in range(0, length, _COPIED):
            pages.write(old.read(physical(begin + at), min(_COPIED, length - at)).tobytes())


def copied(source: E57Source, cloud: PointCloud) -> tuple[Node, list[Written], Tables, Blobs]:
    """A copy of the tree that was read, what becomes of its scans, the tables beside their points, and where its images
    are."""
    root = source.root.copied()
    pairs = dict(zip(map(id, source.root.walk()), root.walk(), strict=True))
    scans, start = [], 0
    for scan, rows in zip(source.scans, parts(source, cloud), strict=True):
        scans.append(Written.of(replace(scan, node=pairs[id(scan.node)]), cloud, rows, start))
        start += len(scan)
    there = {id(node) for node in root.walk()}
    tables = {}
    for key, raw in source.tables.items():
        if id(node := pairs[key]) in there:
            tables[id(node)] = (fields_of(node, source.path), raw, len(next(iter(raw.values()))))
    return root, scans, tables, {id(pairs[key]): origin for key, origin in source.blobs.items()}


def fresh(cloud: PointCloud) -> tuple[Node, list[Written]]:
    """The tree of a cloud from elsewhere: one scan, in the world, with coordinates in double precision."""
    # The same points are the same file, whenever they are written.
    number = UUID(bytes=sha256(np.ascontiguousarray(cloud.xyz).tobytes()).digest()[:16])
    root = Node("e57Root", {"type": "Structure", "xmlns": "http://www.astm.org/COMMIT/E57/2010-e57-v1.0"})
    root.add("formatName", "String", "ASTM E57 3D Imaging Data File")
    root.add("guid", "String", f"{{{number}}}")
    root.add("versionMajor", "Integer", "1")
    root.add("versionMinor", "Integer", "0")
    root.add("e57LibraryVersion", "String", f"deburr {version('deburr')}")
    root.add("coordinateMetadata", "String", cloud.crs or "")
    scan = root.add("data3D", "Vector", allowHeterogeneousChildren="1").add("vectorChild", "Structure")
    root.add("images2D", "Vector", allowHeterogeneousChildren="1")
    scan.add("guid", "String", f"{{{number}-1}}")
    scan.add("cartesianBounds", "Structure")
    table = scan.add("points", "CompressedVector")
    table.add("prototype", "Structure")
    table.add("codecs", "Vector", allowHeterogeneousChildren="1")
    there = cloud.located
    xyz, dims = cloud.xyz, dict(cloud.dims)
    if not there.all():
        xyz = np.where(there[:, None], xyz, 0.0)
        dims["Withheld"] = np.where(there, np.asarray(dims.get("Withheld", 0)) != 0, 2).astype(np.uint8)
    fields = [Field(name, "double") for name in CARTESIAN]
    raw = {name: np.ascontiguousarray(xyz[:, axis]) for axis, name in enumerate(CARTESIAN)}
    written = Written(scan, fields, raw, len(cloud))
    for name, column in dims.items():
        written.add(name, column)
    _limits(scan, dims)
    written.finish(Scan(scan), PointCloud(cloud.xyz))
    return root, [written]


def _limits(scan: Node, dims: Dims) -> None:
    """What the numbers of intensities and colours mean."""
    for group, names in (("intensity", {"Intensity": "intensity"}), ("color", {c: f"color{c}" for c in _COLORS})):
        there = {name: field for name, field in names.items() if name in dims and dims[name].dtype.kind in "iu"}
        box = scan.add(f"{group}Limits", "Structure") if there else scan
        for name, field in there.items():
            box.add(f"{field}Minimum", "Integer", "0")
            box.add(f"{field}Maximum", "Integer", str(np.iinfo(dims[name].dtype).max))


def parts(source: E57Source, cloud: PointCloud) -> Iterator[Ints]:
    """The rows of ``cloud`` that are of each scan, in their order."""
    scan = np.searchsorted(source.ends, cloud.rows, side="right")
    order = np.argsort(scan, kind="stable")
    ends = np.searchsorted(scan[order], np.arange(len(source.scans) + 1))
    for begin, end in pairwise(ends.tolist()):
        yield order[begin:end]
