"""COPC files as their specification has them, made apart from deburr: nodes in any order, pages in a tree."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import laspy
import lazrs
import numpy as np

Records = np.ndarray[Any, Any]
Key = tuple[int, int, int, int]
CENTRE, HALF, SPACING = (500_000.0, 5_600_000.0, 100.0), 64.0, 8.0
ENTRY = struct.Struct("<4iQ2i")


@dataclass
class Copc:
    """A file: its bytes, its points in the file's order, the node of each; where nodes and pages lie."""

    data: bytes
    points: Records
    keys: list[Key]
    nodes: dict[Key, tuple[int, int, int]]
    pages: list[tuple[int, int]] = field(default_factory=list)

    def write(self, path: Path) -> str:
        path.write_bytes(self.data)
        return str(path)


def random_points(count: int, number: int = 7, extra: bool = True, seed: int = 0) -> laspy.LasData:
    """Points all over the cube, every attribute set."""
    random = np.random.default_rng(seed)
    header = laspy.LasHeader(point_format=number, version="1.4")
    header.scales, header.offsets = [0.01, 0.01, 0.001], [500_000.0, 5_600_000.0, 0.0]
    if extra:
        header.add_extra_dim(laspy.ExtraBytesParams("Depth", "int16"))
    las = laspy.LasData(header)
    low = np.subtract(CENTRE, HALF)
    places = low + random.uniform(0, 2 * HALF, (count, 3))
    las.x, las.y, las.z = np.minimum(places, low + 2 * HALF - 0.01).T
    for name in las.point_format.dimension_names:
        if name not in ("X", "Y", "Z"):
            field_ = las.point_format.dimension_by_name(name)
            top = 2 ** min(field_.num_bits, 15) - 1
            las[name] = random.integers(0, top, count)
    las.return_number = random.integers(1, 4, count)
    return las


def _keys(levels: Records, xyz: Records) -> list[Key]:
    side = 2 * HALF / 2.0**levels
    places = np.floor((xyz - np.subtract(CENTRE, HALF)) / side[:, None]).astype(int)
    return [(level, x, y, z) for level, (x, y, z) in zip(levels.tolist(), places.tolist(), strict=True)]


def country(count: int, seed: int = 0) -> tuple[laspy.LasData, Records]:
    """Points over the plan of the cube, as an aircraft sees them, and the level of each: four times as many on each
    as on the one above."""
    random = np.random.default_rng(seed)
    las = random_points(count, 6, False, seed)
    las.z = CENTRE[2] + 3 * np.sin(las.x / 9) + random.normal(0, 0.03, count)
    las.gps_time = np.sort(las.gps_time)
    return las, random.choice(4, count, p=np.array([1, 4, 16, 64]) / 85)


def copc(las: laspy.LasData, levels: Any, paged: bool = True, seed: int = 0, shuffled: bool = True) -> Copc:
    """``las`` as COPC, point i on level ``levels[i]``; nodes lie in random order if ``shuffled``, else level by level.

    ``paged``: every node of level 2 has a page of its own for itself and all below it; else there is one page.
    """
    random = np.random.default_rng(seed)
    xyz = np.array([las.x, las.y, las.z]).T
    by_key: dict[Key, list[int]] = {}
    for row, key in enumerate(_keys(np.asarray(levels), xyz)):
        by_key.setdefault(key, []).append(row)
    keys = sorted(by_key)
    if shuffled:
        keys = [keys[number] for number in random.permutation(len(keys))]
    kind = lazrs.LazVlr.new_for_compression(las.point_format.id, las.point_format.num_extra_bytes, True)
    laszip = kind.record_data()
    raw = las.points.array
    start = io.BytesIO()
    las.header.vlrs.extract("LasZipVlr")
    las.header.write_to(start)
    head = bytearray(start.getvalue())
    (count,) = struct.unpack_from("<I", head, 100)
    info = struct.pack("<H16sHH32s", 0, b"copc", 1, 160, b"COPC info VLR") + bytes(160)
    zipped = struct.pack("<H16sHH32s", 0, b"laszip encoded", 22204, len(laszip), b"") + laszip
    head = bytearray(bytes(head[:375]) + info + bytes(head[375:]) + zipped)
    begin = len(head)
    struct.pack_into("<II", head, 96, begin, count + 2)
    head[104] |= 0x80
    body, table, nodes, order, at = io.BytesIO(), [], {}, [], begin + 8
    for key in keys:
        rows = by_key[key]
        alone = io.BytesIO()
        compressor = lazrs.LasZipCompressor(alone, kind)
        compressor.compress_many(raw[rows].tobytes())
        compressor.done()
        chunk = alone.getvalue()[8 : struct.unpack_from("<q", alone.getvalue())[0]]
        nodes[key] = (at, len(chunk), len(rows))
        body.write(chunk)
        table.append((len(rows), len(chunk)))
        order += rows
        at += len(chunk)
    file = io.BytesIO()
    file.write(bytes(head) + struct.pack("<q", at) + body.getvalue())
    lazrs.write_chunk_table(file, table, kind)
    data = bytearray(file.getvalue())
    pages, end = _pages(nodes, len(data) + 60, paged)
    data += struct.pack("<H16sHQ32s", 0, b"copc", 1000, len(end), b"EPT hierarchy") + end
    lows, highs = xyz.min(0), xyz.max(0)
    struct.pack_into("<6d", data, 179, *np.ravel([highs, lows], order="F"))
    struct.pack_into("<QIQ", data, 235, pages[-1][0] - 60 - _before(pages), 1, len(raw))
    struct.pack_into("<5d2Q2d", data, 375 + 54, *CENTRE, HALF, SPACING, *pages[-1], 0.0, 1.0)
    struct.pack_into("<I", data, 107, 0)
    return Copc(bytes(data), raw[order], [key for key in keys for _ in by_key[key]], nodes, pages)


def _before(pages: list[tuple[int, int]]) -> int:
    return sum(size for _, size in pages[:-1])


def _pages(nodes: dict[Key, tuple[int, int, int]], at: int, paged: bool) -> tuple[list[tuple[int, int]], bytes]:
    """Where the pages lie, the root last, and their bytes from byte ``at`` on. Voxels without points have entries."""
    there = set(nodes)
    for level, *place in nodes:
        there |= {(up, *(part >> (level - up) for part in place)) for up in range(level)}  # type: ignore[misc]
    entries = {key: ENTRY.pack(*key, *nodes.get(key, (0, 0, 0))) for key in sorted(there)}
    pages, data, root = [], b"", b""
    tops = [key for key in entries if key[0] == 2] if paged else []
    for top in tops:
        page = b"".join(entry for key, entry in entries.items() if key[0] >= 2 and _top(key) == top)
        pages.append((at + len(data), len(page)))
        root += ENTRY.pack(*top, at + len(data), len(page), -1)
        data += page
    root += b"".join(entry for key, entry in entries.items() if not paged or key[0] < 2)
    return [*pages, (at + len(data), len(root))], data + root


def _top(key: Key) -> Key:
    return (2, *(part >> (key[0] - 2) for part in key[1:]))  # type: ignore[return-value]
