"""LAS, LAZ and COPC files, damaged where their structure is, and what must hold of reading them.

``python las_door.py FOLDER FIRST COUNT`` tries the cases FIRST to FIRST + COUNT - 1 and writes into FOLDER/case the
number of the one at work, so that whoever started it can say which case ended it. A case depends on its number alone.
"""

from __future__ import annotations

import faulthandler
import io
import os
import resource
import struct
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import copcs
import laspy
import lazrs
import numpy as np

from deburr.core.errors import DeburrError
from deburr.readers.las import LasReader
from deburr.writers.las import LasWriter

#: Seconds that a case may take, and bytes by which the process may grow.
SECONDS, BYTES = 10, 10**9

Random = np.random.Generator


@dataclass
class File:
    """A good file: its bytes, and the places of its numbers, (byte, struct code), by what they belong to."""

    data: bytes
    places: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    points: bytes = b""


HEADER = "6H 24B 25B 90H 92H 94H 96I 100I 104B 105H 107I 111I 115I 131d 139d 147d 155d 163d 171d 179d 187d 195d 203d"
WAVES, FOURTH = " 211d 219d 227Q", " 235Q 243I 247Q 255Q 263Q"


def vlr(user: bytes, number: int, data: bytes, extended: bool = False) -> bytes:
    kind = "<H16sHQ32s" if extended else "<H16sHH32s"
    return struct.pack(kind, 0, user, number, len(data), b"") + data


def extra_bytes() -> bytes:
    """The description of two extra dimensions: int16 with scale and offset, and three bytes that nobody described."""
    scaled = bytearray(192)
    scaled[2:4] = bytes([4, 0b11000])
    scaled[4:9] = b"Depth"
    struct.pack_into("<d", scaled, 112, 0.5)
    struct.pack_into("<d", scaled, 136, 100.0)
    opaque = bytearray(192)
    opaque[2:4] = bytes([0, 3])
    return bytes(scaled + opaque)


def made(minor: int, number: int, sizes: tuple[int, ...] = (), variable: bool = False, extra: bool = False) -> File:
    """A file of 120 points; with ``sizes``, compressed into chunks of so many points."""
    random, count = np.random.default_rng(number), 120
    form = laspy.PointFormat(number)
    if extra:
        form.add_extra_dimension(laspy.point.format.ExtraBytesParams("e", np.dtype(("u1", (5,)))))
    cloud = laspy.ScaleAwarePointRecord.zeros(count, point_format=form, scales=[0.01] * 3, offsets=[0.0] * 3)
    cloud["X"], cloud["Y"], cloud["Z"] = random.normal(0, 1000, (3, count)).astype(np.int32)
    cloud["intensity"] = random.integers(0, 50, count)
    cloud["return_number"] = cloud["number_of_returns"] = np.ones(count, np.uint8)
    raw = cloud.array.tobytes()
    records = [vlr(b"LASF_Projection", 34735, struct.pack("<12H", 1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 25832))]
    records += [vlr(b"LASF_Spec", 4, extra_bytes())] if extra else []
    records += [vlr(b"copc", 1, bytes(160))] if variable else []
    body, begin_of_chunks, laszip = raw, list[int](), b""
    if sizes:
        body, begin_of_chunks, laszip = compressed(raw, number, 5 if extra else 0, sizes, variable)
        records.append(vlr(b"laszip encoded", 22204, laszip))
    size = (227, 227, 227, 235, 375, 393)[minor]
    begin = size + sum(map(len, records))
    head = bytearray(size)
    head[:4] = b"LASF"
    head[24:26] = bytes([1, minor])
    length = len(raw) // count
    struct.pack_into("<HIIBH", head, 94, size, begin, len(records), number | (0x80 if sizes else 0), length)
    struct.pack_into("<I", head, 107, count if number < 6 else 0)
    struct.pack_into("<6d", head, 131, 0.01, 0.01, 0.01, 0.0, 0.0, 0.0)
    struct.pack_into("<6d", head, 179, *np.ravel([[cloud.x.max(), cloud.x.min()], [9.0, -9.0], [9.0, -9.0]]))
    end = vlr(b"LASF_Spec", 65535, b"waves" * 9, True) if number in (4, 5, 9, 10) else b""
    end = end or (vlr(b"copc", 1000, bytes(64), True) if variable else vlr(b"LASF_Projection", 2112, b"", True))
    end = end if minor >= 3 else b""
    if sizes:
        body = struct.pack("<q", begin + int.from_bytes(body[:8], "little")) + body[8:]
    if minor >= 4:
        struct.pack_into("<QIQ", head, 235, begin + len(body), 1, count)
    if end and number in (4, 5, 9, 10):
        head[6] = 2
        struct.pack_into("<Q", head, 227, begin + len(body))
    file = File(bytes(head) + b"".join(records) + body + end, points=raw)
    codes = HEADER + (WAVES if minor >= 3 else "") + (FOURTH if minor >= 4 else "")
    file.places["header"] = [(int(code[:-1]), code[-1]) for code in codes.split()]
    at, places = size, []
    for record in records:
        places += [(at + 2, "B"), (at + 18, "H"), (at + 20, "H")]
        places += [(at + 54 + 2 * i, "H") for i in range(min(len(record) - 54, 48) // 2)]
        at += len(record)
    file.places["records"] = places
    if extra:
        at = file.data.index(b"LASF_Spec") + 52
        file.places["extra bytes"] = [(at + 192 * i + k, "B") for i in range(2) for k in (2, 3, 4, 36, 112, 136)]
    if end:
        at = begin + len(body)
        file.places["extended records"] = [(at + 2, "B"), (at + 18, "H"), (at + 20, "Q")]
    if sizes:
        at = file.data.index(b"laszip encoded") + 52
        fields = [(0, "H"), (2, "H"), (4, "B"), (12, "I"), (16, "Q"), (24, "Q"), (32, "H")]
        fields += [(34 + 2 * i, "H") for i in range((len(laszip) - 34) // 2)]
        file.places["laszip"] = [(at + k, code) for k, code in fields]
        table = int.from_bytes(file.data[begin : begin + 8], "little")
        file.places["table"] = [(begin, "q"), (table, "I"), (table + 4, "I"), *((table + 8 + i, "B") for i in range(9))]
        starts = [begin + at for at in begin_of_chunks]
        layers = 16 if number >= 6 else 3
        file.places["chunks"] = [(start + length + 4 * i, "I") for start in starts for i in range(layers)]
    return file


def indexed() -> File:
    """COPC of 120 points on two levels."""
    copc = copcs.copc(copcs.random_points(120), [0, 1] * 60)
    pages = range(copc.pages[0][0], sum(copc.pages[-1]), 32)
    codes = [(0, "I"), (4, "I"), (16, "Q"), (24, "I"), (28, "I")]
    places = [(at + place, code) for at in pages for place, code in codes]
    octree = [(375 + 54 + 8 * n, "Q" if n in (5, 6) else "d") for n in range(7)]
    chunks = [(at + 38 + 4 * n, "I") for at, _, _ in copc.nodes.values() for n in range(12)]
    return File(copc.data, {"pages": places, "octree": octree, "chunks": chunks}, copc.points.tobytes())


def compressed(
    raw: bytes, number: int, extra: int, sizes: tuple[int, ...], variable: bool
) -> tuple[bytes, list[int], bytes]:
    """Compressed points behind the place of their table (from their begin); where chunks begin; LASzip's record."""
    laszip = bytearray(lazrs.LazVlr.new_for_compression(number, extra, variable).record_data())
    if not variable:
        struct.pack_into("<I", laszip, 12, sizes[0])
    kind = lazrs.LazVlr(bytes(laszip))
    length, at, chunks, table = kind.item_size(), 0, b"", []
    begins = []
    for size in sizes:
        alone = io.BytesIO()
        compressor = lazrs.LasZipCompressor(alone, kind)
        compressor.compress_many(raw[at * length : (at + size) * length])
        compressor.done()
        chunk = alone.getvalue()[8 : int.from_bytes(alone.getvalue()[:8], "little")]
        begins.append(8 + len(chunks))
        chunks += chunk
        table.append((size, len(chunk)))
        at += size
    file = io.BytesIO()
    file.write(struct.pack("<q", 8 + len(chunks)) + chunks)
    lazrs.write_chunk_table(file, table, kind)
    return file.getvalue(), begins, bytes(laszip)


def files() -> list[File]:
    return [
        made(2, 1),
        made(3, 4),
        made(4, 6, extra=True),
        made(4, 10),
        made(2, 3, (50, 50, 20)),
        made(2, 1, (60, 60), extra=True),
        made(3, 5, (50, 50, 20)),
        made(4, 6, (120,)),
        made(4, 7, (50, 50, 20), extra=True),
        made(4, 10, (50, 50, 20)),
        made(4, 6, (1, 70, 49), variable=True),
        made(4, 8, (3, 0, 117), variable=True),
        indexed(),
    ]


def set_number(random: Random, file: File, data: bytearray) -> None:
    """One of the file's numbers becomes another: an extreme, a neighbour, a size of the file, anything."""
    places = file.places[str(random.choice(sorted(file.places)))]
    at, code = places[random.integers(len(places))]
    size = struct.calcsize(code)
    if at + size > len(data):
        return
    if code == "d":
        values = (0.0, -0.0, 1e-300, 1e308, -1e308, np.nan, np.inf, -0.01, 1.0, float(random.normal(0, 1e6)))
        struct.pack_into("<d", data, at, values[random.integers(len(values))])
        return
    old, top = int.from_bytes(data[at : at + size], "little"), 2 ** (8 * size)
    near = (old + 1, old - 1, old * 2, old // 2, len(data), len(data) - 8, len(data) - at)
    far = (0, 1, top - 1, top // 2, top // 2 - 1, 2**31, 2**24, 50_000, int(random.integers(2**63)))
    chosen: tuple[int, ...] = (near, far)[random.integers(2)]
    data[at : at + size] = (chosen[random.integers(len(chosen))] % top).to_bytes(size, "little")


def span(random: Random, data: bytearray) -> slice:
    begin = int(random.integers(len(data)))
    return slice(begin, begin + int(random.integers(1, 1 + 2 ** int(random.integers(10)))))


def flip(random: Random, _: File, data: bytearray) -> None:
    for at in random.integers(0, len(data), int(random.integers(1, 5))):
        data[at] ^= 1 << int(random.integers(8))


def fill(random: Random, _: File, data: bytearray) -> None:
    part = span(random, data)
    data[part] = bytes([(0, 255, int(random.integers(256)))[random.integers(3)]]) * len(data[part])


def cut(random: Random, file: File, data: bytearray) -> None:
    ends = [at for places in file.places.values() for at, _ in places]
    del data[ends[random.integers(len(ends))] if random.integers(2) else int(random.integers(len(data))) :]


def drop(random: Random, _: File, data: bytearray) -> None:
    del data[span(random, data)]


def double(random: Random, _: File, data: bytearray) -> None:
    part = span(random, data)
    data[part.start : part.start] = data[part]


def append(random: Random, _: File, data: bytearray) -> None:
    data += random.bytes(int(random.integers(1, 200)))


def rename(random: Random, _: File, data: bytearray) -> None:
    """Other names of system and software, which mean nothing: the points are what they were."""
    data[26:58] = random.bytes(32)
    data[58:90] = random.bytes(32)


DAMAGES: list[Callable[[Random, File, bytearray], None]] = [set_number] * 6 + [flip, fill, cut, drop, double, append]


def attempt(call: Callable[[], Any]) -> Any:
    """What ``call`` gives; None where it refuses as it should."""
    try:
        return call()
    except DeburrError as error:
        text = str(error)
        assert "\n" not in text, f"an error of several lines: {text!r}"
        assert len(text) < 1000, f"an error of {len(text)} characters"
        return None


def raw(cloud: Any) -> bytes:
    return bytes(cloud.source.records.tobytes())


def signless(cloud: Any) -> bytes:
    """The same, of zeros without their sign, which the compressor forgets of GPS times and of ways of waveforms."""
    records = cloud.source.records.copy()
    for name in records.dtype.names:
        values = records[name]
        if values.dtype.kind == "f":
            records[name] = np.where(values == 0, 0, values)
    return bytes(records.tobytes())


def check(number: int, all_files: list[File], folder: Path) -> bool:
    """One case; whether the damaged file could be read. Raises for whatever must not be."""
    random = np.random.default_rng([1, number])
    file = all_files[number % len(all_files)]
    data = bytearray(file.data)
    harmless = number % 50 < 12 and number % 5 == 0
    for _ in range(1 if harmless else int(random.integers(1, 4))):
        (rename if harmless else DAMAGES[random.integers(len(DAMAGES))])(random, file, data)
        if not data:
            break
    path = str(folder / "case.las")
    Path(path).write_bytes(data)
    options = {"all_points": bool(random.integers(2))}
    os.environ["DEBURR_THREADS"] = "1"
    reader = LasReader(filename=path, **options)
    outline = attempt(reader.outline)
    cloud = attempt(reader.read)
    os.environ["DEBURR_THREADS"] = "2"
    other = attempt(reader.read)
    assert (cloud is None) == (other is None), "one thread reads what two do not, or the other way round"
    if harmless:
        assert raw(cloud) == file.points, "the points of a good file are not what they were"
    if cloud is None:
        return False
    assert outline is not None, "can be read, and has no outline"
    assert outline.extent.count == len(cloud)
    whole = raw(cloud)
    assert whole == raw(other), "two threads read other points than one"
    begin, count = int(random.integers(len(cloud) + 2)), int(random.integers(len(cloud) + 2))
    some = LasReader(filename=path, start=begin, count=count, **options).read()
    size = cloud.source.layout.dtype.itemsize
    assert raw(some) == whole[begin * size :][: count * size], f"start {begin}, count {count} are other points"
    parts = b"".join(raw(part) for part in reader.parts(int(random.integers(1, 100))))
    assert parts == whole, "parts are not the whole"
    check_window(random, path, cloud)
    out = folder / f"out{('.las', '.laz')[random.integers(2)]}"
    out.unlink(missing_ok=True)
    written = attempt(lambda: LasWriter(filename=str(out)).write(cloud))
    assert (written is None) == (not out.exists()), "a failed writer left a file, or one that did not left none"
    if written is not None:
        again = LasReader(filename=str(out)).read()
        assert len(again) == len(cloud)
        if not any("does not fit scale" in warning for warning in written.history[-1].warnings):
            assert again.xyz.tobytes() == cloud.xyz.tobytes(), "other coordinates are read than were written"
            assert signless(again) == signless(cloud), "other points are read than were written"
    return True


def check_window(random: Random, path: str, cloud: Any) -> None:
    """Of a part of the cloud in space, whatever the index says, no other points are read, and no other bytes."""
    low, high = np.sort(cloud.xyz[random.integers(0, len(cloud), 2)], axis=0) if len(cloud) else np.zeros((2, 3))
    spelt = ", ".join(f"[{a!r}, {b!r}]" for a, b in zip(low.tolist(), high.tolist(), strict=True))
    wanted: dict[str, Any] = {"bounds": f"({spelt})"} if random.integers(3) else {"resolution": 2.0}
    reader = LasReader(filename=path, **wanted)
    part = attempt(reader.read)
    outline = attempt(reader.outline)
    if part is None:
        return
    assert outline.extent.count == len(part)
    assert raw(part) == cloud.source.records[part.rows].tobytes(), "a window has other points than the file"
    inside = ((part.xyz >= low) & (part.xyz <= high)).all()
    assert inside or "resolution" in wanted, "points lie outside of the box that was asked for"


def main(folder: Path, first: int, count: int) -> None:
    all_files, readable = files(), 0
    for file in all_files:  # a good file is read, or the rest means nothing
        (folder / "good.las").write_bytes(file.data)
        assert raw(LasReader(filename=str(folder / "good.las")).read()) == file.points
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(first, first + count):
        (folder / "case").write_text(str(number))
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        readable += check(number, all_files, folder)
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        assert grown < BYTES, f"took {grown / 1e9:.1f} GB of memory"
    faulthandler.cancel_dump_traceback_later()
    print(readable)


if __name__ == "__main__":
    faulthandler.enable()
    warnings.simplefilter("error")  # numpy's reach the user as they are
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
