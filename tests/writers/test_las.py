"""writers.las: what must survive, checked on the bytes with a parser of its own (`parse`)."""

from __future__ import annotations

import os
import resource
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from deburr.core.cloud import PointCloud
from deburr.core.errors import WriteError
from deburr.formats.las.header import LasSource
from deburr.readers.las import LasReader
from deburr.writers.las import LasWriter

RECORD = {0: 20, 1: 28, 2: 26, 3: 34, 4: 57, 5: 63, 6: 30, 7: 36, 8: 38, 9: 59, 10: 67}
SIZES = (227, 227, 227, 235, 375, 393)
SMALL = ("laspy_fullwave.laz", "laspy_simple1_4.las", "laspy_vegetation_1_3.las", "pdal_4_6_crop.las",
         "pdal_extrabytes.las", "laspy_plane.laz")  # fmt: skip
WKT_2112 = b'GEOGCS["WGS 84",UNIT["degree",0.0174532925199433]]\0'


@dataclass
class Parsed:
    header: bytes
    vlrs: list[tuple[bytes, bytes]]  # (header without length, data)
    evlrs: list[tuple[bytes, bytes]]
    records: npt.NDArray[np.uint8]

    def field(self, kind: str, at: int) -> Any:
        values = struct.unpack_from("<" + kind, self.header, at)
        return values[0] if len(values) == 1 else values

    @property
    def kept_vlrs(self) -> list[tuple[bytes, bytes]]:
        return [v for v in self.vlrs if not v[0][2:].startswith((b"laszip encoded", b"copc\0"))]

    @property
    def kept_evlrs(self) -> list[tuple[bytes, bytes]]:
        return [v for v in self.evlrs if not v[0][2:].startswith(b"copc\0")]

    @property
    def raw_xyz(self) -> npt.NDArray[np.int32]:
        return np.ascontiguousarray(self.records[:, :12]).view("<i4")

    @property
    def count(self) -> int:
        return int(self.field("Q", 247) if self.header[25] >= 4 else self.field("I", 107))


def parse(path: Path) -> Parsed:
    """A LAS file by the tables of the specification; only LAZ points go through laspy."""
    data = path.read_bytes()
    size, at, n_vlrs, _, length = struct.unpack_from("<HIIBH", data, 94)
    minor = data[25]
    vlrs, evlrs, position = [], [], size
    for _ in range(n_vlrs):
        (n,) = struct.unpack_from("<H", data, position + 20)
        vlrs.append((data[position : position + 20] + data[position + 22 : position + 54], data[position + 54 :][:n]))
        position += 54 + n
    assert position <= at
    starts = struct.unpack_from("<QI", data, 235) if minor >= 4 else (struct.unpack_from("<Q", data, 227)[0], 1)
    starts = starts if minor >= 3 and starts[0] else (0, 0)
    position = starts[0]
    for _ in range(starts[1]):
        (n,) = struct.unpack_from("<Q", data, position + 20)
        evlrs.append((data[position : position + 20] + data[position + 28 : position + 60], data[position + 60 :][:n]))
        position += 60 + n
    count = struct.unpack_from("<Q", data, 247)[0] if minor >= 4 else struct.unpack_from("<I", data, 107)[0]
    compressed = data[104] & 0x80
    points = laspy.read(path).points.array.tobytes() if compressed else data[at : at + count * length]
    return Parsed(data[:size], vlrs, evlrs, np.frombuffer(points, np.uint8).reshape(count, length))


def assert_faithful(before: Parsed, after: Parsed, moved: npt.NDArray[np.bool_] | None = None) -> None:
    """Every row of the fidelity table, on the bytes."""
    assert after.header[25] == before.header[25]
    assert after.header[4:58] == before.header[4:58]  # source id, encoding, GUID, version, system
    assert after.header[58:90].startswith(b"deburr ")
    assert after.header[90:96] == before.header[90:96]
    assert after.header[104] & 0x3F == before.header[104] & 0x3F
    assert after.header[105:107] == before.header[105:107]
    assert after.header[131:179] == before.header[131:179]  # scale and offset
    assert after.kept_vlrs == before.kept_vlrs
    assert not any(b"copc" in v[0] for v in after.vlrs + after.evlrs)
    assert after.kept_evlrs == before.kept_evlrs
    assert after.records.shape == before.records.shape
    assert np.array_equal(after.records[:, 12:], before.records[:, 12:])
    still = np.ones(before.count, bool) if moved is None else ~moved
    assert np.array_equal(after.records[still], before.records[still])
    assert_counts(after)


def assert_counts(after: Parsed) -> None:
    """Bounds, counts and points by return are those of the points."""
    number, minor, count = after.header[104] & 0x3F, after.header[25], len(after.records)
    scale, offset = np.array(after.field("3d", 131)), np.array(after.field("3d", 155))
    world = after.raw_xyz * scale + offset
    ends = np.array(after.field("6d", 179)).reshape(3, 2)
    np.testing.assert_array_equal(ends[:, 0], world.max(0))
    np.testing.assert_array_equal(ends[:, 1], world.min(0))
    returns = np.bincount(after.records[:, 14] & (0xF if number >= 6 else 7), minlength=16)[1:]
    if minor >= 4:
        assert after.field("Q", 247) == count
        assert list(after.field("15Q", 255)) == returns.tolist()
    legacy = number < 6 or minor < 4
    assert after.field("I", 107) == (count if legacy else 0)
    assert list(after.field("5I", 111)) == (returns[:5].tolist() if legacy else [0] * 5)


def round_trip(path: Path, out: Path) -> None:
    """Unchanged, and with every second point moved by a little more than two steps."""
    cloud = LasReader(filename=str(path)).read()
    before = parse(path)
    written = LasWriter(filename=str(out)).write(cloud)
    assert written.history[-1].stage == "writers.las"
    assert_faithful(before, parse(out))
    half = np.arange(len(cloud)) % 2 == 0
    scale = np.array(before.field("3d", 131))
    xyz = cloud.xyz.copy()
    xyz[half] += 2.2 * scale
    LasWriter(filename=str(out)).write(cloud.with_xyz(xyz))
    after = parse(out)
    assert_faithful(before, after, half)
    assert np.array_equal(after.raw_xyz[half], before.raw_xyz[half] + 2)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_small_real_files_survive(tmp_path: Path, data_dir: Path, name: str, suffix: str) -> None:
    round_trip(data_dir / "data/lidar" / name, tmp_path / f"out{suffix}")


@pytest.mark.alldata
@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_all_real_files_survive(tmp_path: Path, data_dir: Path, suffix: str) -> None:
    files = sorted((data_dir / "data/lidar").glob("*.la[sz]"))
    assert len(files) >= 13
    for path in files:
        round_trip(path, tmp_path / f"out{suffix}")


def vlr(user: bytes, record: int, data: bytes, extended: bool = False) -> bytes:
    return struct.pack("<H16sHQ32s" if extended else "<H16sHH32s", 0xAABB, user, record, len(data), b"what") + data


def extra_bytes() -> bytes:
    """Three descriptions: a scaled int16 with no_data, min and max, a plain double, two undocumented bytes."""
    depth = struct.pack("<HBB32s4xq16xq16xq16xd16xd16x32s", 0, 4, 31, b"Depth", -9, -5, 5, 0.5, 100.0, b"metres")
    assert len(depth) == 192
    return depth + struct.pack("<2xBB32s124x32s", 10, 0, b"Height", b"") + struct.pack("<2xBB188x", 0, 2)


def handmade(path: Path, minor: int, number: int, count: int = 50) -> Path:
    """Random points of any format with extra bytes, WKT, a foreign VLR, a copc VLR; EVLRs from LAS 1.4 on."""
    length, size = RECORD[number] + 12, SIZES[minor]
    front = vlr(b"LASF_Spec", 4, extra_bytes()) + vlr(b"LASF_Projection", 2112, WKT_2112)
    front += vlr(b"somebody", 7, b"anything") + vlr(b"copc", 1, bytes(160)) + vlr(b"laszip encoded", 22204, b"old")
    rng = np.random.default_rng(100 * minor + number)
    points = rng.integers(0, 256, (count, length), dtype=np.uint8)
    if number in (1, 3, 4, 5, 6, 7, 8, 9, 10):
        at = 20 if number < 6 else 22
        points[:, at : at + 8] = np.frombuffer(rng.normal(0, 1e6, count).tobytes(), np.uint8).reshape(-1, 8)
    header = bytearray(size)
    header[:26] = b"LASF" + struct.pack("<HH16sBB", 0 if minor == 0 else 5, 0 if minor == 0 else 1, b"guid", 1, minor)
    at = size + len(front) + 3
    struct.pack_into("<32s32sHHHIIBHI", header, 26, b"sys", b"soft", 7, 2020, size, at, 5, number, length, count)
    struct.pack_into("<6d", header, 131, 0.001, 0.01, 1e-7, 1e5, -0.0, 3.0)
    evlrs = [vlr(b"LASF_Spec", 65535, b"\1" * 100, True), vlr(b"other", 9, bytes(70000), True)]
    evlrs += [vlr(b"copc", 1000, b"hierarchy", True)]
    end = at + points.nbytes
    if minor >= 4:
        struct.pack_into("<QQIQ", header, 227, end, end, 3, count)
        header[6] |= 2 | 16
    if minor >= 4 and number >= 6:
        struct.pack_into("<I", header, 107, 0)
    if minor == 5:
        struct.pack_into("<ddH", header, 375, 0.0, 0.0, 4)
    tail = b"".join(evlrs) if minor >= 4 else b""
    path.write_bytes(bytes(header) + front + b"gap" + points.tobytes() + tail)
    return path


CASES = [(minor, n) for minor, highest in ((1, 1), (2, 3), (3, 5), (4, 10), (5, 10)) for n in range(highest + 1)]


@pytest.mark.parametrize(("minor", "number"), CASES)
def test_every_version_and_format_survives(tmp_path: Path, minor: int, number: int) -> None:
    path = handmade(tmp_path / "in.las", minor, number)
    before = parse(path)
    cloud = LasReader(filename=str(path)).read()
    assert (cloud.crs or "").startswith("GEOGCS")
    depth = np.ascontiguousarray(before.records[:, -12:-10]).view("<i2")[:, 0]
    np.testing.assert_array_equal(cloud.dims["Depth"], depth * 0.5 + 100.0)
    for suffix in (".las", ".laz"):
        if minor == 5 and suffix == ".laz":
            continue  # laspy reads no LAS 1.5: see the test below
        out = tmp_path / f"out{suffix}"
        if number in (9, 10) and suffix == ".laz":
            with pytest.raises(WriteError, match="scanner channels"):
                LasWriter(filename=str(out)).write(cloud)
            continue
        LasWriter(filename=str(out)).write(cloud)
        after = parse(out)
        if number >= 6 or minor < 5:
            assert_faithful(before, after)
        assert after.kept_vlrs == before.kept_vlrs
        if minor >= 4:
            data = out.read_bytes()
            at = after.field("Q", 227)
            assert data[at + 2 : at + 11] == b"LASF_Spec"  # the waveforms' new place
            assert len(after.evlrs) == 2


def test_las_1_5_keeps_its_header_and_compresses(tmp_path: Path) -> None:
    path = handmade(tmp_path / "in.las", 5, 7)
    cloud = LasReader(filename=str(path)).read()
    LasWriter(filename=str(tmp_path / "a.laz")).write(cloud)
    again = LasReader(filename=str(tmp_path / "a.laz")).read()
    LasWriter(filename=str(tmp_path / "b.las")).write(again)
    after = parse(tmp_path / "b.las")
    assert_faithful(parse(path), after)
    times = cloud.dims["GpsTime"]
    assert after.field("ddH", 375) == (times.max(), times.min(), 4)


def test_las_1_0_becomes_1_2_and_says_so(tmp_path: Path) -> None:
    path = handmade(tmp_path / "in.las", 0, 1)
    written = LasWriter(filename=str(tmp_path / "out.las")).write(LasReader(filename=str(path)).read())
    assert any("LAS 1.0" in w for w in written.history[-1].warnings)
    before, after = parse(path), parse(tmp_path / "out.las")
    assert after.header[25] == 2
    assert after.header[4:8] == bytes(4)
    assert np.array_equal(before.records, after.records)
    assert after.kept_vlrs == before.kept_vlrs


@pytest.mark.parametrize(("minor", "number"), [(3, 4), (4, 9)])
@pytest.mark.parametrize(
    ("size", "step", "fits"),
    [
        (1000, 1000, True),
        (1000, 2**34, True),
        (1000, -1000, True),
        (2**32 - 1, 2**32 - 1, True),
        (2**32 - 1, -1, False),
        (2**31, -(2**31), False),
        (2**31, 5 - 2**31, True),
        (2**31 - 1, -(2**31) - 1, True),
    ],
)
def test_waveforms_come_back_from_where_they_were_or_are_refused(
    tmp_path: Path, minor: int, number: int, size: int, step: int, fits: bool
) -> None:
    """Places that go up, down and around; the compressor mixes up steps back of 4 GB less the size."""
    cloud = LasReader(filename=str(handmade(tmp_path / "in.las", minor, number))).read()
    assert isinstance(cloud.source, LasSource)
    records = cloud.source.records.copy()
    records["wavepacket_size"], records["wavepacket_index"] = size, 1
    records["wavepacket_offset"] = (2**35 + step * np.arange(len(records))).astype(np.uint64)
    if number == 9:
        records["classification_flags"] &= 0b11001111  # one scanner channel
    cloud, out = replace(cloud, source=replace(cloud.source, records=records), dims={}), tmp_path / "out.laz"
    if not fits:
        with pytest.raises(WriteError, match=r"waveforms of 2 GB a point .* write a \.las file"):
            LasWriter(filename=str(out)).write(cloud)
        assert not out.exists()
        return
    LasWriter(filename=str(out)).write(cloud)
    again = LasReader(filename=str(out)).read().source
    assert isinstance(again, LasSource)
    assert (again.records["wavepacket_offset"] == records["wavepacket_offset"]).all()
    assert (again.records["wavepacket_size"] == size).all()


@pytest.mark.parametrize("user", [b"LASF_Spec", b"LAS_Spec", b""])
@pytest.mark.parametrize("size", [36, 100_000])  # more than fits in front of the points
def test_waveforms_of_las_1_3_move_along(tmp_path: Path, user: bytes, size: int) -> None:
    path = handmade(tmp_path / "in.las", 3, 4)
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, 227, len(data))
    data[6] |= 2
    path.write_bytes(bytes(data) + vlr(user, 65535, b"wave" * (size // 4), True))
    for options in ({}, {"forward": "format"}):
        written = LasWriter(filename=str(tmp_path / "out.las"), **options).write(LasReader(filename=str(path)).read())
        after = parse(tmp_path / "out.las")
        if not options:
            assert_faithful(parse(path), after)
        assert after.evlrs[0][1] == b"wave" * (size // 4)
        assert not written.history[-1].warnings
        again = LasReader(filename=str(tmp_path / "out.las")).read().source
        assert [e.data for e in again.evlrs] == [b"wave" * (size // 4)]  # type: ignore[attr-defined]


def test_waveforms_are_where_the_header_of_las_1_4_points(tmp_path: Path) -> None:
    path = handmade(tmp_path / "in.las", 4, 9)
    before = parse(path)
    data = path.read_bytes()
    start = before.field("Q", 235)
    decoy, odd = vlr(b"LASF_Spec", 65535, b"none" * 3, True), vlr(b"LAS_Spec", 65535, b"wave" * 9, True)
    header = bytearray(data)
    struct.pack_into("<Q", header, 227, start + len(decoy))
    struct.pack_into("<QI", header, 235, start, 2)
    header[6] |= 2
    path.write_bytes(bytes(header[:start]) + decoy + odd)
    LasWriter(filename=str(tmp_path / "out.las")).write(LasReader(filename=str(path)).read())
    after, written = parse(tmp_path / "out.las"), (tmp_path / "out.las").read_bytes()
    assert [e[1] for e in after.evlrs] == [b"none" * 3, b"wave" * 9]
    assert written[after.field("Q", 227) + 2 :].startswith(b"LAS_Spec\0")


def test_changed_dimensions_are_set_and_no_other_bit(tmp_path: Path) -> None:
    path = handmade(tmp_path / "in.las", 4, 3)
    cloud = LasReader(filename=str(path)).read()
    klass, withheld, depth = (
        cloud.dims["Classification"].copy(),
        cloud.dims["Withheld"].copy(),
        cloud.dims["Depth"].copy(),
    )
    klass[5], withheld[6], depth[7] = 7, 1, 103.5
    changed = cloud.with_dims(
        {"Classification": klass.astype(np.int64), "Withheld": withheld.astype(bool), "Depth": depth}
    )
    LasWriter(filename=str(tmp_path / "out.las")).write(changed)
    expected = parse(path).records.copy()
    expected[5, 15] = expected[5, 15] & 0b11100000 | 7
    expected[6, 15] |= 0b10000000
    expected[7, -12:-10] = np.frombuffer(struct.pack("<h", 7), np.uint8)
    assert np.array_equal(parse(tmp_path / "out.las").records, expected)


@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_bounds_over_chunks_and_negative_scales(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = handmade(tmp_path / "in.las", 4, 3)
    data = bytearray(path.read_bytes())
    struct.pack_into("<d", data, 139, -0.01)
    path.write_bytes(data)
    monkeypatch.setattr("deburr.writers._las_body._CHUNK", 7)
    LasWriter(filename=str(tmp_path / f"out{suffix}")).write(LasReader(filename=str(path)).read())
    assert_faithful(parse(path), parse(tmp_path / f"out{suffix}"))


def test_any_name_of_an_extra_dimension(tmp_path: Path) -> None:
    cloud = PointCloud(np.zeros((2, 3)), {"a:b": np.array([1.5, 2.5]), "X ": np.array([1, 2], np.uint8)})
    for out in (tmp_path / "a.las", tmp_path / "a.laz"):
        LasWriter(filename=str(out)).write(cloud)
        assert LasReader(filename=str(out)).read().dims["a:b"].tolist() == [1.5, 2.5]


def test_selected_points_keep_their_records(tmp_path: Path) -> None:
    path = handmade(tmp_path / "in.las", 4, 10)
    rows = np.array([7, 3, 49])
    LasWriter(filename=str(tmp_path / "out.las")).write(LasReader(filename=str(path)).read().select(rows))
    assert np.array_equal(parse(tmp_path / "out.las").records, parse(path).records[rows])
    part = LasReader(filename=str(path), start=10, count=5).read()
    LasWriter(filename=str(tmp_path / "out.las")).write(part)
    assert np.array_equal(parse(tmp_path / "out.las").records, parse(path).records[10:15])


@pytest.mark.parametrize("klass", [18, 32, 64])
def test_high_classes_need_a_modern_format(tmp_path: Path, klass: int) -> None:
    cloud = LasReader(filename=str(handmade(tmp_path / "in.las", 2, 1))).read()
    cloud = cloud.with_dims({"Classification": np.full(len(cloud), klass, np.uint8)})
    with pytest.raises(WriteError, match=f"class {klass}.*dataformat_id"):
        LasWriter(filename=str(tmp_path / "out.las")).write(cloud)
    assert not (tmp_path / "out.las").exists()
    written = LasWriter(filename=str(tmp_path / "out.las"), dataformat_id=6).write(cloud)
    assert written.history[-1].figures["las_version"] == "1.4"
    again = LasReader(filename=str(tmp_path / "out.las")).read()
    assert set(again.dims["Classification"].tolist()) == {klass}
    for name in ("ReturnNumber", "GpsTime", "ScanAngleRank", "Depth", "Height", "PointSourceId"):
        np.testing.assert_allclose(again.dims[name], cloud.dims[name], rtol=1e-6, atol=0.0031, err_msg=name)


def test_overlap_class_becomes_the_flag(tmp_path: Path) -> None:
    cloud = LasReader(filename=str(handmade(tmp_path / "in.las", 2, 1))).read()
    cloud = cloud.with_dims({"Classification": np.arange(len(cloud), dtype=np.uint8) % 2 * 10 + 2})
    written = LasWriter(filename=str(tmp_path / "out.las"), dataformat_id=6).write(cloud)
    again = LasReader(filename=str(tmp_path / "out.las")).read()
    assert again.dims["Classification"][:4].tolist() == [2, 1, 2, 1]
    assert again.dims["Overlap"][:4].tolist() == [0, 1, 0, 1]
    assert any("class 12" in w for w in written.history[-1].warnings)


def test_overflow_moves_the_offset_and_says_so(tmp_path: Path) -> None:
    path = handmade(tmp_path / "in.las", 4, 6)
    cloud = LasReader(filename=str(path), count=2).read()
    xyz = cloud.xyz.copy()
    xyz[:, 0] = cloud.xyz[0, 0]
    xyz[1, 0] += 2.0e6  # 2e9 steps of 0.001
    written = LasWriter(filename=str(tmp_path / "out.las")).write(cloud.with_xyz(xyz))
    again = LasReader(filename=str(tmp_path / "out.las")).read()
    np.testing.assert_allclose(again.xyz, xyz, atol=6e-4)
    if len(written.history[-1].warnings):
        assert "does not fit" in written.history[-1].warnings[0]
    far = xyz + np.array([1e9, 0, 0])
    written = LasWriter(filename=str(tmp_path / "out.las")).write(cloud.with_xyz(far))
    assert "X from" in written.history[-1].warnings[0]
    after = parse(tmp_path / "out.las")
    assert after.field("d", 131) == 0.001  # the scale stays
    assert after.header[139:155] == parse(path).header[139:155]
    np.testing.assert_allclose(LasReader(filename=str(tmp_path / "out.las")).read().xyz, far, atol=6e-4)


def test_scale_and_offset_options(tmp_path: Path) -> None:
    cloud = LasReader(filename=str(handmade(tmp_path / "in.las", 4, 6))).read()
    out = tmp_path / "out.las"
    LasWriter(filename=str(out), scale_x=0.01, offset_x=5.0).write(cloud)
    after = parse(out)
    assert (after.field("d", 131), after.field("d", 155)) == (0.01, 5.0)
    np.testing.assert_allclose(LasReader(filename=str(out)).read().xyz[:, 0], cloud.xyz[:, 0], atol=0.00501)
    LasWriter(filename=str(out), scale_x="auto", offset_x="auto").write(cloud)
    np.testing.assert_allclose(LasReader(filename=str(out)).read().xyz[:, 0], cloud.xyz[:, 0], atol=0.0501)
    with pytest.raises(WriteError, match="scale_x"):
        LasWriter(filename=str(out), scale_x=1e-9, offset_x=0.0).write(cloud)


def test_clouds_from_elsewhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    xyz = rng.random((100, 3)) * [1000, 1000, 50] + [500_000, 5_400_000, 100]
    dims: dict[str, Any] = {
        "Red": rng.integers(0, 65536, 100).astype(np.uint16),
        "quality": rng.random(100).astype(np.float32),
    }
    dims |= {"Intensity": np.arange(100, dtype=np.uint8), "label": np.arange(100) - 50}
    out = tmp_path / "out.laz"
    LasWriter(filename=str(out), a_srs="EPSG:25832", minor_version=2, dataformat_id=3).write(PointCloud(xyz, dims))
    again = LasReader(filename=str(out)).read()
    np.testing.assert_allclose(again.xyz, xyz, atol=1e-5)
    for name, column in dims.items():
        np.testing.assert_array_equal(again.dims[name], column, err_msg=name)
    assert again.dims["quality"].dtype == np.float32
    assert again.crs == "EPSG:25832"
    with laspy.open(out) as theirs:
        assert theirs.header.version.minor == 2
        assert next(v.user_id for v in theirs.header.vlrs) == "LASF_Spec"
    written = LasWriter(filename=str(out)).write(PointCloud(xyz, dims))
    assert written.history[-1].figures["point_format"] == 7
    assert laspy.read(out).header.global_encoding.wkt


def test_new_dimensions_and_extra_dims(tmp_path: Path) -> None:
    path = handmade(tmp_path / "in.las", 4, 6)
    cloud = LasReader(filename=str(path)).read()
    cloud = cloud.with_dims({"score": np.linspace(0, 1, len(cloud))})
    out = tmp_path / "out.las"
    LasWriter(filename=str(out)).write(cloud)
    after, before = parse(out), parse(path)
    assert after.vlrs[0][1][: 3 * 192] == extra_bytes()
    assert np.array_equal(after.records[:, :-8], before.records)
    np.testing.assert_array_equal(LasReader(filename=str(out)).read().dims["score"], cloud.dims["score"])
    written = LasWriter(filename=str(out), extra_dims="score=float, Height=double").write(cloud)
    again = LasReader(filename=str(out)).read()
    assert {"score", "Height"} <= set(again.dims)
    assert "Depth" not in again.dims
    assert again.dims["score"].dtype == np.float32
    assert any("Depth" in w for w in written.history[-1].warnings)


def test_a_name_that_the_point_format_has_no_place_for(tmp_path: Path) -> None:
    """PDAL writes such a dimension into the extra bytes; in a format that has a place for it, it goes there."""
    header = laspy.LasHeader(point_format=3, version="1.4")
    header.add_extra_dims([laspy.ExtraBytesParams("Infrared", "u2"), laspy.ExtraBytesParams("Depth", "i2")])
    las = laspy.LasData(header)
    las.X, las["Infrared"], las["Depth"] = np.arange(9), np.arange(9) * 7000, -np.arange(9)
    path, out = tmp_path / "in.las", tmp_path / "out.las"
    las.write(path)
    cloud = LasReader(filename=str(path)).read()
    assert cloud.history[0].warnings == ()
    assert cloud.dims["Infrared"].tolist() == (np.arange(9) * 7000).tolist()
    LasWriter(filename=str(out)).write(cloud)
    assert np.array_equal(parse(out).records, parse(path).records)
    LasWriter(filename=str(out), dataformat_id=8).write(cloud)
    after = laspy.read(out)
    assert list(after.point_format.extra_dimension_names) == ["Depth"]
    assert (after.nir == np.arange(9) * 7000).all()
    assert (after["Depth"] == -np.arange(9)).all()


def test_a_dimension_that_a_stage_removed_does_not_come_back(tmp_path: Path) -> None:
    path, again = tmp_path / "in.las", tmp_path / "out.las"
    dims = {name: np.arange(5, dtype=kind) for name, kind in (("A", "u1"), ("B", "f8"), ("C", "i2"))}
    LasWriter(filename=str(path)).write(PointCloud(np.zeros((5, 3)), dims))
    cloud = LasReader(filename=str(path)).read()
    left = {name: column for name, column in cloud.dims.items() if name != "B"}
    LasWriter(filename=str(again)).write(replace(cloud, dims=left))
    read = LasReader(filename=str(again)).read()
    assert list(read.dims) == list(left)
    assert read.dims["A"].tolist() == read.dims["C"].tolist() == [0, 1, 2, 3, 4]
    assert parse(again).records.shape[1] == parse(path).records.shape[1] - 8
    none = {name: column for name, column in left.items() if name not in "AC"}
    LasWriter(filename=str(again)).write(replace(cloud, dims=none))
    assert parse(again).kept_vlrs == [v for v in parse(path).kept_vlrs if v[0][2:].startswith(b"LASF_Projection")]


def test_undescribed_extra_bytes_are_described_once_others_follow(tmp_path: Path) -> None:
    path = tmp_path / "in.las"
    header = bytearray(227)
    header[:26] = b"LASF" + bytes(20) + bytes([1, 2])
    struct.pack_into("<HIIBHI", header, 94, 227, 227, 0, 0, 25, 3)
    struct.pack_into("<6d", header, 131, 1, 1, 1, 0, 0, 0)
    raw = np.random.default_rng(0).integers(0, 255, (3, 25), dtype=np.uint8)
    path.write_bytes(bytes(header) + raw.tobytes())
    cloud = LasReader(filename=str(path)).read()
    LasWriter(filename=str(tmp_path / "a.las")).write(cloud)
    assert np.array_equal(parse(tmp_path / "a.las").records, raw)
    LasWriter(filename=str(tmp_path / "b.las")).write(cloud.with_dims({"n": np.array([1, 2, 3], np.uint8)}))
    after = parse(tmp_path / "b.las")
    assert np.array_equal(after.records[:, :25], raw)
    assert after.vlrs[0][1][2:4] == bytes([0, 5])
    assert LasReader(filename=str(tmp_path / "b.las")).read().dims["n"].tolist() == [1, 2, 3]


def test_a_srs_replaces_every_record_of_the_old(tmp_path: Path) -> None:
    cloud = LasReader(filename=str(handmade(tmp_path / "in.las", 4, 6))).read()
    wkt = 'PROJCS["new",UNIT["metre",1]]'
    LasWriter(filename=str(tmp_path / "out.las"), a_srs=wkt).write(cloud)
    assert LasReader(filename=str(tmp_path / "out.las")).read().crs == wkt
    assert sum(b"LASF_Projection" in v[0] for v in parse(tmp_path / "out.las").vlrs) == 1


def test_forward_none_and_by_name(tmp_path: Path) -> None:
    cloud = LasReader(filename=str(handmade(tmp_path / "in.las", 4, 6))).read()
    LasWriter(filename=str(tmp_path / "out.las"), forward="system_id,software_id", filesource_id=9).write(cloud)
    after = parse(tmp_path / "out.las")
    assert (after.field("H", 4), after.header[8:12], after.header[26:29], after.header[58:62]) == (
        9,
        bytes(4),
        b"sys",
        b"soft",
    )
    assert not any(b"somebody" in v[0] for v in after.vlrs)
    assert any(b"LASF_Projection" in v[0] for v in after.vlrs)


def test_a_forwarded_version_that_lacks_the_new_format_gives_way(tmp_path: Path) -> None:
    cloud = LasReader(filename=str(handmade(tmp_path / "in.las", 2, 1))).read()
    written = LasWriter(filename=str(tmp_path / "out.las"), forward="minor_version").write(cloud).history[-1]
    assert (written.figures["las_version"], written.figures["point_format"]) == ("1.4", 6)
    assert "point format 6 needs LAS 1.4" in written.warnings[0]


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize("number", [1, 6])
def test_no_and_one_point(tmp_path: Path, count: int, suffix: str, number: int) -> None:
    cloud = LasReader(filename=str(handmade(tmp_path / "in.las", 4, number, count))).read()
    out = tmp_path / f"out{suffix}"
    for cloud_ in (cloud, PointCloud(cloud.xyz)):
        LasWriter(filename=str(out)).write(cloud_)
        assert len(LasReader(filename=str(out)).read()) == count
        assert len(laspy.read(out)) == count


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"forward": "all,scales"}, "did you mean 'scale'"),
        ({"extra_dims": "a=quad"}, "extra_dims"),
        ({"extra_dims": "Red=uint8"}, "standard"),
        ({"minor_version": 2, "dataformat_id": 6}, "no point format 6"),
        ({"a_srs": "nonsense"}, "a_srs"),
        ({"scale_y": -1.0}, "scale_y"),
    ],
)
def test_wrong_options_are_refused_before_any_point(options: dict[str, Any], says: str) -> None:
    errors = LasWriter(filename="x.las", **options).check(())
    assert len(errors) == 1
    assert says in errors[0]


def test_unwritable_outputs(tmp_path: Path) -> None:
    cloud = PointCloud(np.zeros((2, 3)))
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none" / "a.las", tmp_path / "file" / "a.las", tmp_path):
        with pytest.raises(WriteError):
            LasWriter(filename=str(path)).write(cloud)
    with pytest.raises(WriteError, match="Intensity"):
        LasWriter(filename=str(tmp_path / "a.las")).write(cloud.with_dims({"Intensity": np.array([1, 70000])}))
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_compression_is_the_same_on_any_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = PointCloud(np.random.default_rng(0).random((60_000, 3)))
    for count in ("1", "2"):
        monkeypatch.setenv("DEBURR_THREADS", count)
        LasWriter(filename=str(tmp_path / f"{count}.laz")).write(cloud)
    assert (tmp_path / "1.laz").read_bytes() == (tmp_path / "2.laz").read_bytes()


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, threads: str
) -> None:
    monkeypatch.setenv("DEBURR_THREADS", threads)
    out = tmp_path / f"a{suffix}"
    out.write_bytes(b"old")
    cloud = PointCloud(np.random.default_rng(0).random((50_000, 3)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(WriteError, match="cannot be written"):
            LasWriter(filename=str(out)).write(cloud)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert out.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [out.name]


def test_lists_and_capitals_are_read_as_pdal_reads_them() -> None:
    given = {"filename": "x.laz", "forward": ["scale", "vlr", "major_version"], "extra_dims": ["A=float", "B=uint8"]}
    writer = LasWriter.model_validate(given | {"compression": "LASZIP"})
    assert (writer.forward, writer.extra_dims, writer.compression) == (
        "scale,vlr,major_version",
        "A=float,B=uint8",
        "laszip",
    )
    assert writer.check(()) == []
    with pytest.raises(ValidationError):
        LasWriter.model_validate(given | {"forward": ["scale", 1]})


def test_a_file_without_points_keeps_its_offsets(tmp_path: Path) -> None:
    path = handmade(tmp_path / "in.las", 4, 6)
    data = bytearray(path.read_bytes())
    struct.pack_into("<3d", data, 155, 500_000.0, 5_600_000.0, -0.0)
    struct.pack_into("<Q", data, 247, 0)
    path.write_bytes(data)
    cloud = LasReader(filename=str(path)).read()
    assert len(cloud) == 0
    written = LasWriter(filename=str(tmp_path / "out.las")).write(cloud)
    assert written.history[-1].warnings == ()
    assert parse(tmp_path / "out.las").header[131:179] == data[131:179]
    asked = LasWriter(filename=str(tmp_path / "out.las"), scale_x=1e-3, offset_x=9e9)
    assert asked.write(cloud).history[-1].figures["offset"] == [9e9, 5_600_000.0, 0.0]


def test_colours_of_8_bits_fill_the_16_that_las_has(tmp_path: Path) -> None:
    colors = {name: np.array([0, 1, 128, 255], np.uint8) for name in ("Red", "Green", "Blue")}
    cloud = PointCloud(np.zeros((4, 3)), {**colors, "Alpha": colors["Red"], "UserData": colors["Red"]})
    written = LasWriter(filename=str(tmp_path / "a.laz")).write(cloud)
    (warning,) = written.history[-1].warnings
    assert warning.startswith("Red, Green, Blue had 8 bits")
    again = LasReader(filename=str(tmp_path / "a.laz")).read()
    for name in colors:
        assert again.dims[name].tolist() == [0, 257, 32896, 65535]
    assert again.dims["Alpha"].tolist() == again.dims["UserData"].tolist() == [0, 1, 128, 255]
    # What has 16 bits is as it is, however dark.
    wide = {name: column.astype(np.uint16) for name, column in colors.items()}
    assert LasWriter(filename=str(tmp_path / "b.laz")).write(cloud.with_dims(wide)).history[-1].warnings == ()
    assert LasReader(filename=str(tmp_path / "b.laz")).read().dims["Red"].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("scalar_C2C_absolute_distances[<10]", "scalar_C2C_absolute_distances[<1"),
        ("\udcff\udcfe", "??"),
        ("\u00e9" * 20, "\u00e9" * 16),
        ("a" + "\u00e9" * 20, "a" + "\u00e9" * 15),  # not in the middle of a character
        ("X", "X~2"),  # a place that every format has
        (" ", "unnamed"),
    ],
)
def test_names_that_extra_bytes_cannot_hold_are_made_to_fit(tmp_path: Path, name: str, label: str) -> None:
    cloud = PointCloud(np.zeros((2, 3)), {name: np.array([1.5, np.nan]), "Other": np.array([1, 2], np.uint8)})
    written = LasWriter(filename=str(tmp_path / "a.las")).write(cloud)
    (warning,) = written.history[-1].warnings
    assert f"is called '{label}' in the file" in warning
    again = LasReader(filename=str(tmp_path / "a.las")).read()
    assert again.history[0].warnings == ()
    np.testing.assert_array_equal(again.dims[label], [1.5, np.nan])
    assert again.dims["Other"].tolist() == [1, 2]
    # A file that has it keeps it, and says nothing.
    assert LasWriter(filename=str(tmp_path / "b.las")).write(again).history[-1].warnings == ()


def test_names_that_fit_to_the_same_stay_apart(tmp_path: Path) -> None:
    names = ["x" * 32, *("x" * 32 + letter for letter in "abc")]
    cloud = PointCloud(np.zeros((1, 3)), {name: np.array([float(i)]) for i, name in enumerate(names)})
    LasWriter(filename=str(tmp_path / "a.laz")).write(cloud)
    again = LasReader(filename=str(tmp_path / "a.laz")).read().dims
    labels = ["x" * 32, *("x" * 30 + tail for tail in ("~2", "~3", "~4"))]
    assert [again[label].tolist() for label in labels] == [[0.0], [1.0], [2.0], [3.0]]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"system_id": "\u00e9" * 20}, "32 bytes"),
        ({"extra_dims": "\udcff=float"}, "no UTF-8"),
        ({"a_srs": "EPSG:99999"}, "EPSG codes from 1 to 32,766"),
        ({"a_srs": 'LOCAL_CS["\udcff"]'}, "must be EPSG:n or WKT"),
    ],
)
def test_texts_that_have_no_place_are_refused_before_any_work(options: dict[str, Any], says: str) -> None:
    (error,) = LasWriter(filename="a.las", **options).check(())
    assert says in error
    error.encode()  # and can be printed


def test_what_las_has_no_place_for_is_told(tmp_path: Path) -> None:
    from deburr.readers.ply import Ply

    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    mesh = "property list uchar int ends\nelement face 1\nproperty list uchar int vertex_indices\nelement none 0\n"
    path = tmp_path / "a.ply"
    path.write_text(f"{head}{mesh}property int a\nend_header\n0 0 0 1 7\n1 0 0 0\n0 1 0 0\n3 0 1 2\n")
    written = LasWriter(filename=str(tmp_path / "a.laz")).write(Ply(filename=str(path)).read())
    assert written.history[-1].warnings == (
        "LAS has no place for 1 x 'face', the lists 'ends' of the file that was read, which were left out",
    )
