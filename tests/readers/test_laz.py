"""LAZ whose chunks lie otherwise than a table of fixed sizes says, and LAZ that says what it cannot hold."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import laspy
import lazrs
import numpy as np
import pytest

from deburr.core.errors import ReadError
from deburr.readers.las import LasReader


def points(number: int, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Random point records of format ``number``, as bytes: (count, size) uint8."""
    random = np.random.default_rng(seed)
    las = laspy.LasData(laspy.LasHeader(point_format=number, version="1.4"))
    las.X, las.Y, las.Z = random.normal(0, 1000, (3, count)).astype(np.int32)
    las.intensity = random.integers(0, 50, count)
    if "gps_time" in las.point_format.dimension_names:
        las.gps_time = np.arange(count) * 0.01
    return np.frombuffer(las.points.array.tobytes(), np.uint8).reshape(count, -1)


def laz(path: Path, number: int, records: Any, sizes: Sequence[int], variable: bool, junk: int = 0) -> str:
    """A LAZ file with chunks of ``sizes`` points; ``junk`` bytes behind each, which its table counts to the chunk."""
    vlr = lazrs.LazVlr.new_for_compression(number, 0, variable)
    record = bytearray(vlr.record_data())
    if not variable:
        struct.pack_into("<I", record, 12, max(sizes))
    vlr = lazrs.LazVlr(bytes(record))
    body, table, at = io.BytesIO(), [], 0
    for size in sizes:
        alone = io.BytesIO()
        compressor = lazrs.LasZipCompressor(alone, vlr)
        compressor.compress_many(records[at : at + size].tobytes())
        compressor.done()
        (end,) = struct.unpack_from("<q", alone.getvalue())
        chunk = alone.getvalue()[8:end] + b"\xa5" * junk
        body.write(chunk)
        table.append((size, len(chunk)))
        at += size
    header = laspy.LasHeader(point_format=number, version="1.4")
    header.scales, header.offsets = [0.01] * 3, [0.0] * 3
    start = io.BytesIO()
    header.write_to(start)
    data = bytearray(start.getvalue())
    data += struct.pack("<H16sHH32s", 0, b"laszip encoded", 22204, len(record), b"") + record
    begin = len(data)
    struct.pack_into("<II", data, 96, begin, 1)
    data[104] |= 0x80
    struct.pack_into("<I", data, 107, len(records) if number < 6 else 0)
    struct.pack_into("<Q", data, 247, len(records))
    file = io.BytesIO()
    file.write(bytes(data) + struct.pack("<q", begin + 8 + len(body.getvalue())) + body.getvalue())
    lazrs.write_chunk_table(file, table, vlr)
    path.write_bytes(file.getvalue())
    return str(path)


def read(path: str, **options: int) -> bytes:
    """All bytes of the points."""
    source = LasReader(filename=path, **options).read().source  # type: ignore[arg-type]  # start and count only
    return bytes(source.records.tobytes())  # type: ignore[attr-defined]


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("number", [1, 3, 6, 8])
@pytest.mark.parametrize("variable", [True, False])
def test_any_rows_of_any_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, variable: bool, threads: str
) -> None:
    monkeypatch.setenv("DEBURR_THREADS", threads)
    sizes = (1, 70, 0, 3, 200, 26) if variable else (100, 100, 100)
    records = points(number, 300)
    path = laz(tmp_path / "a.laz", number, records, sizes, variable)
    assert read(path) == records.tobytes()
    for start in (0, 1, 2, 70, 71, 73, 74, 100, 273, 274, 299, 300):
        for count in (0, 1, 3, 70, 300):
            assert read(path, start=start, count=count) == records[start : start + count].tobytes()
    for size in (1, 7, 71, 100, 299):
        parts = [part.source.records.tobytes() for part in LasReader(filename=path, start=5).parts(size)]  # type: ignore[attr-defined]
        assert b"".join(parts) == records[5:].tobytes()


def test_rows_of_real_copc(data_dir: Path) -> None:
    path = str(data_dir / "data/lidar/pdal_lone-star.copc.laz")
    truth = laspy.read(path).points.array
    for start in (1000, 212, 43_073, 500_000):
        assert read(path, start=start, count=3) == truth[start : start + 3].tobytes()


@pytest.mark.parametrize("number", [1, 6])
def test_a_chunk_begins_where_the_table_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    records = points(number, 250)
    path = laz(tmp_path / "a.laz", number, records, (100, 100, 50), False, junk=9)
    for threads in ("1", "2"):
        monkeypatch.setenv("DEBURR_THREADS", threads)
        assert read(path) == records.tobytes()
        assert read(path, start=120) == records[120:].tobytes()


def damaged(path: str, at: int, kind: str, *values: int) -> str:
    data = bytearray(Path(path).read_bytes())
    struct.pack_into("<" + kind, data, at, *values)
    Path(path).write_bytes(data)
    return path


def begin_of(path: str) -> int:
    return int(struct.unpack_from("<I", Path(path).read_bytes(), 96)[0])


@pytest.mark.parametrize("start", [0, 60])
@pytest.mark.parametrize("size", [2**32 - 1, 2**24])
@pytest.mark.parametrize("layer", [0, 8, 10])
def test_layers_beyond_their_chunk_are_never_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: int, size: int, start: int
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("lazrs was asked")

    monkeypatch.setattr(lazrs, "decompress_points_with_chunk_table", refuse)
    monkeypatch.setattr(lazrs, "LasZipDecompressor", refuse)
    path = laz(tmp_path / "a.laz", 8, points(8, 100), (100,), False)
    damaged(path, begin_of(path) + 8 + 38 + 4 + 4 * layer, "I", size)
    with pytest.raises(ReadError, match=r"sizes beyond its own.*complete copy"):
        read(path, start=start)


@pytest.mark.parametrize("start", [0, 60])
@pytest.mark.parametrize("layer", [None, 0, 1, 4, 8])
def test_a_code_that_no_coder_writes_never_reaches_lazrs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: int | None, start: int
) -> None:
    """lazrs looks up symbols by it beyond its tables, and ends the process. None: a format without layers."""
    number = 1 if layer is None else 6
    records = points(number, 100)
    path = laz(tmp_path / "a.laz", number, records, (100,), False)
    begin, size = begin_of(path) + 8, records.shape[1]
    if layer is not None:
        sizes = struct.unpack_from("<9I", Path(path).read_bytes(), begin + size + 4)
        assert sizes[layer] >= 4
        size += 4 * 10 + sum(sizes[:layer])
    assert read(path, start=start) == records[start:].tobytes()

    def refuse(*_: object) -> None:
        raise AssertionError("lazrs was asked")

    monkeypatch.setattr(lazrs, "decompress_points_with_chunk_table", refuse)
    monkeypatch.setattr(lazrs, "LasZipDecompressor", refuse)
    damaged(path, begin + size, "I", 2**32 - 1)
    with pytest.raises(ReadError, match=r"a code that no coder writes.*complete copy"):
        read(path, start=start)


def test_a_count_that_the_bytes_cannot_hold(tmp_path: Path) -> None:
    path = laz(tmp_path / "a.laz", 6, points(6, 100), (100,), False)
    data = Path(path).read_bytes()
    damaged(path, data.index(b"laszip encoded") + 52 + 12, "I", 2**31)  # the size of chunks
    damaged(path, 247, "Q", 2**31)
    with pytest.raises(ReadError, match=r"promises 2147483648 points in \d+ bytes"):
        read(path)


@pytest.mark.parametrize("number", [1, 6])
def test_points_that_compress_best_are_read(tmp_path: Path, number: int) -> None:
    # The same point over and over: as dense as points get, and dense enough that a lower limit would refuse them.
    records = np.repeat(points(number, 1), 2_000_000, axis=0)
    path = laz(tmp_path / "a.laz", number, records, (2_000_000,), False)
    assert Path(path).stat().st_size < 10_000
    assert read(path) == records.tobytes()


def test_a_panic_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = laz(tmp_path / "a.laz", 1, points(1, 100), (50, 50), False)
    items = Path(path).read_bytes().index(b"laszip encoded") + 52 + 34
    damaged(path, items + 6, "HHH", 6, 8, 2)  # a second point of 20 bytes in the 8 of the time
    with pytest.raises(ReadError, match="does not describe point format 1"):
        read(path)
    # With that unseen, lazrs panics, and what it raises is no Exception.
    monkeypatch.setattr("deburr.formats.las.laz.Laz._check_items", lambda *_: None)
    for options in ({}, {"start": 10}):
        with pytest.raises(ReadError, match="cut off or damaged"):
            read(path, **options)


@pytest.mark.parametrize(
    ("at", "values", "says"),
    [
        (0, (0,), r"LASzip's \(0\) that has no chunks"),
        (0, (1,), r"LASzip's \(1\) that has no chunks"),
        (32, (65535,), "LASzip record is cut off"),
        (34, (10, 20, 2), "does not describe point format 1"),
        (34, (7, 8, 2, 6, 20, 2), "does not describe point format 1"),  # another order: all would be misread
        (36, (19,), "two point sizes, 27 and 28"),
        (38, (9,), "cannot be read"),
    ],
)
def test_a_record_that_does_not_fit(tmp_path: Path, at: int, values: tuple[int, ...], says: str) -> None:
    path = laz(tmp_path / "a.laz", 1, points(1, 100), (50, 50), False)
    record = Path(path).read_bytes().index(b"laszip encoded") + 52
    with pytest.raises(ReadError, match=says):
        read(damaged(path, record + at, f"{len(values)}H", *values))


@pytest.mark.parametrize(
    ("number", "variable", "there"), [(6, True, 300), (6, False, 300), (1, True, 300), (1, False, 200)]
)
def test_more_points_than_the_header_counts(tmp_path: Path, number: int, variable: bool, there: int) -> None:
    # Point formats 0-5 do not say how many points the last chunk of fixed size holds: only the others are sure.
    records = points(number, 300)
    path = laz(tmp_path / "a.laz", number, records, (100, 100, 100), variable)
    for at, kind in ((107, "I"), (247, "Q")):
        damaged(path, at, kind, 150)
    cloud = LasReader(filename=path).read()
    assert len(cloud) == 150
    (warning,) = cloud.history[0].warnings
    assert f"counts 150 points, and {there} are there" in warning
    assert "'all_points'" in warning
    reader = LasReader(filename=path, all_points=True)
    assert reader.read().source.records.tobytes() == records[:there].tobytes()  # type: ignore[attr-defined]
    assert reader.outline().extent.low.tolist() == reader.read().extent.low.tolist()
    assert LasReader(filename=path, all_points=True, start=180).read().rows.tolist() == list(range(180, there))


def test_a_count_that_is_right_or_not_to_be_known_is_no_news(tmp_path: Path) -> None:
    for number, count in ((1, 250), (6, 300), (6, 201)):
        path = laz(tmp_path / "a.laz", number, points(number, 300)[:count], (100, 100, count - 200), False)
        assert LasReader(filename=path, all_points=True).read().history[0].warnings == ()
