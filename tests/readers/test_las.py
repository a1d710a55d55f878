"""readers.las against files made by hand and by laspy, an implementation that it shares no code with but LASzip's."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

from deburr.core.errors import ReadError
from deburr.readers.las import LasReader

RECORD = {0: 20, 1: 28, 2: 26, 3: 34, 4: 57, 5: 63, 6: 30, 7: 36, 8: 38, 9: 59, 10: 67}
SIZES = (227, 227, 227, 235, 375, 393)


def handmade(path: Path, minor: int, number: int, raw: bytes, count: int, vlrs: bytes = b"", n_vlrs: int = 0) -> Path:
    """A LAS file packed field by field: scale 0.01, offset (10, 20, 30)."""
    size = SIZES[minor]
    header = bytearray(size)
    header[:4] = b"LASF"
    header[24:26] = bytes([1, minor])
    header[26:32] = b"system"
    struct.pack_into("<HHHIIBHI", header, 90, 7, 2020, size, size + len(vlrs), n_vlrs, number, RECORD[number], count)
    struct.pack_into("<6d", header, 131, 0.01, 0.01, 0.01, 10.0, 20.0, 30.0)
    if minor >= 4:
        struct.pack_into("<Q", header, 247, count)
        if number >= 6:
            struct.pack_into("<6I", header, 107, *[0] * 6)
    if minor >= 5:
        struct.pack_into("<ddH", header, 375, 9.0, 1.0, 3)
    path.write_bytes(bytes(header) + vlrs + raw)
    return path


def legacy_point(x: int, returns: int, classes: int) -> bytes:
    return struct.pack("<iiiHBBbBH", x, -5, 7, 300, returns, classes, -12, 9, 77)


def modern_point(x: int, flags: int, klass: int) -> bytes:
    return struct.pack("<iiiHBBBBhHd", x, -5, 7, 300, 0x52, flags, klass, 9, -2000, 77, 1.5)


def test_legacy_bits_come_apart(tmp_path: Path) -> None:
    # return 2 of 5, direction 1, edge 0; class 12, synthetic, withheld
    raw = legacy_point(100, 2 | 5 << 3 | 1 << 6, 12 | 1 << 5 | 1 << 7)
    cloud = LasReader(filename=str(handmade(tmp_path / "a.las", 2, 0, raw, 1))).read()
    assert cloud.xyz.tolist() == [[100 * 0.01 + 10, -5 * 0.01 + 20, 7 * 0.01 + 30]]
    found = {name: column.tolist() for name, column in cloud.dims.items()}
    assert found == {
        "Intensity": [300],
        "ReturnNumber": [2],
        "NumberOfReturns": [5],
        "ScanDirectionFlag": [1],
        "EdgeOfFlightLine": [0],
        "Classification": [12],
        "Synthetic": [1],
        "KeyPoint": [0],
        "Withheld": [1],
        "ScanAngleRank": [-12],
        "UserData": [9],
        "PointSourceId": [77],
    }


@pytest.mark.parametrize("minor", [4, 5])
def test_modern_bits_come_apart(tmp_path: Path, minor: int) -> None:
    # key point, overlap, channel 2, edge; class 18
    raw = modern_point(1, 0b0010 | 0b1000 | 2 << 4 | 1 << 7, 18)
    cloud = LasReader(filename=str(handmade(tmp_path / "a.las", minor, 6, raw, 1))).read()
    found = {name: column.tolist()[0] for name, column in cloud.dims.items()}
    assert (found["ReturnNumber"], found["NumberOfReturns"], found["Classification"]) == (2, 5, 18)
    flags = ("Synthetic", "KeyPoint", "Withheld", "Overlap", "ScanChannel", "ScanDirectionFlag", "EdgeOfFlightLine")
    assert [found[name] for name in flags] == [0, 1, 0, 1, 2, 0, 1]
    assert found["ScanAngleRank"] == pytest.approx(-12.0)
    assert found["GpsTime"] == 1.5
    assert cloud.history[0].figures["las_version"] == f"1.{minor}"


@pytest.mark.parametrize("number", range(11))
@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_every_point_format_as_laspy_reads_it(tmp_path: Path, number: int, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    header = laspy.LasHeader(point_format=number, version="1.4")
    header.add_extra_dims([laspy.ExtraBytesParams("Depth", "i2", scales=np.array([0.5]), offsets=np.array([100.0]))])
    las = laspy.LasData(header)
    rng = np.random.default_rng(number)
    raw = rng.integers(0, 255, (500, header.point_format.size), dtype=np.uint8)
    las.points = laspy.ScaleAwarePointRecord(
        raw.view(header.point_format.dtype()).ravel(), header.point_format, header.scales, header.offsets
    )
    las.write(path)
    cloud, truth = LasReader(filename=str(path)).read(), laspy.read(path)
    np.testing.assert_array_equal(cloud.xyz, truth.xyz)
    names = {"Intensity": "intensity", "ReturnNumber": "return_number", "Classification": "classification"}
    names |= {"Withheld": "withheld", "PointSourceId": "point_source_id", "UserData": "user_data", "Depth": "Depth"}
    names |= {"GpsTime": "gps_time"} if "gps_time" in truth.point_format.dimension_names else {}
    names |= {"Infrared": "nir"} if "nir" in truth.point_format.dimension_names else {}
    names |= {"Red": "red", "Blue": "blue"} if "red" in truth.point_format.dimension_names else {}
    for ours, theirs in names.items():
        np.testing.assert_array_equal(cloud.dims[ours], np.asarray(truth[theirs]), err_msg=ours)


def test_start_and_count(tmp_path: Path) -> None:
    raw = b"".join(legacy_point(i, 9, 1) for i in range(10))
    path = str(handmade(tmp_path / "a.las", 2, 0, raw, 10))
    part = LasReader(filename=path, start=3, count=4).read()
    assert part.rows.tolist() == [3, 4, 5, 6]
    np.testing.assert_allclose(part.xyz[:, 0], [10.03, 10.04, 10.05, 10.06])
    assert len(LasReader(filename=path, start=50).read()) == 0


def test_short_header_of_las_1_3(tmp_path: Path) -> None:
    raw = legacy_point(4, 9, 1)
    path = handmade(tmp_path / "a.las", 2, 0, raw, 1)
    assert LasReader(filename=patched(path, 25, "B", 3)).read().history[0].figures["las_version"] == "1.3"


@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_chunks_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    las = laspy.LasData(laspy.LasHeader(point_format=3, version="1.2"))
    las.X, las.intensity = np.arange(1000), np.arange(1000)
    las.write(path)
    monkeypatch.setattr("deburr.formats.las.body._CHUNK", 300)
    for start in (0, 123):
        cloud = LasReader(filename=str(path), start=start).read()
        assert cloud.dims["Intensity"].tolist() == list(range(start, 1000))


def test_crs_from_wkt_keys_and_options(data_dir: Path) -> None:
    folder = data_dir / "data" / "lidar"
    read = {
        n: LasReader(filename=str(folder / n), count=1).read() for n in ("pdal_4_6_crop.las", "laspy_simple1_4.las")
    }
    assert read["pdal_4_6_crop.las"].crs == "EPSG:2903"
    assert read["pdal_4_6_crop.las"].history[0].figures["units"] == "US survey foot"
    assert (read["laspy_simple1_4.las"].crs or "").startswith("GEOGCS[")  # from an EVLR
    assert read["laspy_simple1_4.las"].history[0].figures["units"] == "degree"
    ign = LasReader(filename=str(folder / "ign_several_extra_bytes.laz"), count=1).read()
    assert (ign.crs or "").startswith("PROJCRS[")
    assert ign.history[0].figures["units"] == "metre"
    path = str(folder / "pdal_4_6_crop.las")
    assert LasReader(filename=path, count=1, nosrs=True).read().crs is None
    other = LasReader(filename=path, count=1, override_srs="EPSG:1").read()
    assert (other.crs, other.history[0].figures["units"]) == ("EPSG:1", None)
    metric = LasReader(filename=path, count=1, override_srs='PROJCS["p",UNIT["metre",1]]').read()
    assert metric.history[0].figures["units"] == "metre"


@pytest.mark.parametrize(
    ("options", "says"),
    [({"override_srs": "nonsense"}, "must be EPSG:n or WKT"), ({"override_srs": "EPSG:1", "nosrs": True}, "exclude")],
)
def test_contradictions_and_nonsense_are_refused_before_any_point(options: dict[str, Any], says: str) -> None:
    (error,) = LasReader(filename="x.las", **options).check(())
    assert says in error


def patched(path: Path, at: int, kind: str, value: float) -> str:
    data = bytearray(path.read_bytes())
    struct.pack_into("<" + kind, data, at, value)
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("at", "kind", "value", "says"),
    [
        (0, "I", 0, "not a LAS"),
        (24, "B", 2, "LAS 2.2"),
        (25, "B", 9, "LAS 1.9"),
        (94, "H", 3, "header size"),
        (96, "I", 2**31, "before its points"),
        (96, "I", 100, "header size"),
        (100, "I", 2**32 - 1, "variable length record 1"),
        (104, "B", 11, "point format 11"),
        (104, "B", 0x80, "compressed"),
        (105, "H", 19, "record length 19"),
        (107, "I", 2**32 - 1, "promises 4294967295 points and holds 2"),
        (131, "d", 0.0, "scale"),
        (131, "d", float("nan"), "scale"),
        (155, "d", float("inf"), "offset"),
    ],
)
def test_damaged_headers_are_one_sentence(tmp_path: Path, at: int, kind: str, value: float, says: str) -> None:
    path = handmade(tmp_path / "a.las", 2, 0, legacy_point(1, 9, 1) * 2, 2)
    with pytest.raises(ReadError, match=says) as caught:
        LasReader(filename=patched(path, at, kind, value)).read()
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_extended_records_beyond_any_file_are_one_sentence(tmp_path: Path) -> None:
    path = handmade(tmp_path / "a.las", 4, 6, modern_point(1, 0, 2), 1)
    patched(path, 243, "I", 1)
    for place in (2**40, 2**63):
        with pytest.raises(ReadError, match="extended variable length record 1 of 1"):
            LasReader(filename=patched(path, 235, "Q", place)).read()


def test_absurd_counts_of_laz_ask_for_no_memory(tmp_path: Path, data_dir: Path) -> None:
    path = tmp_path / "a.laz"
    path.write_bytes((data_dir / "data/lidar/laspy_plane.laz").read_bytes())
    with pytest.raises(ReadError, match="holds"):
        LasReader(filename=patched(path, 107, "I", 2**32 - 1)).read()


@pytest.mark.parametrize("name", ["laspy_plane.laz", "laspy_fullwave.laz", "pdal_4_6_crop.las", "laspy_simple1_4.las"])
def test_cut_off_anywhere(tmp_path: Path, data_dir: Path, name: str) -> None:
    whole = (data_dir / "data/lidar" / name).read_bytes()
    path = tmp_path / name
    for length in [*range(0, 400, 37), *np.linspace(400, len(whole) - 1, 25).astype(int)]:
        path.write_bytes(whole[:length])
        with pytest.raises(ReadError):
            LasReader(filename=str(path)).read()


def test_random_damage_gives_a_cloud_or_a_read_error(tmp_path: Path, data_dir: Path) -> None:
    whole = (data_dir / "data/lidar/laspy_plane.laz").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "a.laz"
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(4, 1000, 4):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        try:
            cloud = LasReader(filename=str(path)).read()
        except ReadError:
            continue
        assert np.isfinite(cloud.xyz).all()


@pytest.mark.parametrize("behind", [b"", b"waveforms"])
def test_more_points_than_the_header_counts(tmp_path: Path, behind: bytes) -> None:
    raw = b"".join(legacy_point(i, 9, 1) for i in range(10))
    path = handmade(tmp_path / "a.las", 3, 0, raw, 7)
    if behind:  # they are not taken for points
        patched(path, 227, "Q", path.stat().st_size)
        path.write_bytes(path.read_bytes() + behind * 9)
    cloud = LasReader(filename=str(path)).read()
    assert cloud.rows.tolist() == list(range(7))
    assert cloud.history[0].warnings == (
        f"{path}: the header counts 7 points, and 10 are there; the others were left out: see 'all_points'",
    )
    reader = LasReader(filename=str(path), all_points=True)
    cloud = reader.read()
    np.testing.assert_allclose(cloud.xyz[:, 0], 10 + np.arange(10) * 0.01)
    assert cloud.history[0].warnings == (f"{path}: the header counts 7 points, and 10 are there; all were read",)
    assert reader.outline().extent.high[0] == cloud.xyz[9, 0]
    assert [len(part) for part in reader.parts(4)] == [4, 4, 2]


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none.las", "does not exist; check the file name"), (tmp_path, "is a folder; give")):
        with pytest.raises(ReadError, match=said):
            LasReader(filename=str(path)).read()


def test_read_columns_cannot_be_written_into(tmp_path: Path) -> None:
    cloud = LasReader(filename=str(handmade(tmp_path / "a.las", 2, 0, legacy_point(1, 9, 1), 1))).read()
    with pytest.raises(ValueError, match="read-only"):
        cloud.dims["Intensity"][0] = 1
