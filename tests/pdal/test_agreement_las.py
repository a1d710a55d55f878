"""readers.las and writers.las beside real PDAL's: what one reads or writes is what the other reads."""

from __future__ import annotations

import struct
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import agreement
import laspy
import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError
from deburr.core.registry import stage_class
from deburr.core.stage import Filter
from deburr.readers.las import LasReader
from deburr.writers.copc import CopcWriter
from deburr.writers.las import LasWriter

Options = dict[str, Any]

#: All but the one of point format 10, which PDAL 2.2 has not.
FILES = [
    "3dfier_ahn3_cropped_1.laz",
    "3dfier_ahn3_cropped_2.laz",
    "ign_several_extra_bytes.laz",
    "laspy_plane.laz",
    "laspy_simple1_4.las",
    "laspy_vegetation_1_3.las",
    "pdal_4_6_crop.las",
    "pdal_autzen_trim.las",
    "pdal_autzen_trim.laz",
    "pdal_extrabytes.las",
    "pdal_lone-star.copc.laz",
    "pdal_lone-star.laz",
]
#: One of each kind: point formats 1, 3, 7 and 8, extra bytes in one record and in two, all versions from 1.2 on.
KINDS = ["laspy_vegetation_1_3.las", "pdal_autzen_trim.laz", "pdal_extrabytes.las", "ign_several_extra_bytes.laz"]
VERSIONS = [(1, 1), (2, 0), (2, 1), (2, 2), (2, 3), (3, 1), (3, 3), (4, 0), (4, 3), (4, 6), (4, 7), (4, 8)]


def ours(path: Path, **options: Any) -> PointCloud:
    return LasReader(filename=str(path), **options).read()


def assert_agree(path: Path, warnings: tuple[str, ...] = ()) -> PointCloud:
    """Both read ``path`` to the same points and metadata; ours says no other ``warnings`` (their ends)."""
    # Before LAS 1.4 PDAL looks at descriptions of extra bytes only if it is told to.
    points, metadata = agreement.read("readers.las", path, use_eb_vlr=True)
    cloud = ours(path)
    agreement.assert_same_points(cloud, points)
    agreement.assert_same_metadata(cloud, metadata)
    said = cloud.history[0].warnings
    assert len(said) == len(warnings)
    assert all(text.endswith(end) for text, end in zip(said, warnings, strict=True))
    return cloud


TAKEN = "extra dimensions ['Intensity'] have names already taken; they are copied unread"


@pytest.mark.alldata
@pytest.mark.parametrize("name", FILES)
def test_real_files_read_alike(data_dir: Path, name: str) -> None:
    assert_agree(data_dir / "data" / "lidar" / name, (TAKEN,) if name == "pdal_extrabytes.las" else ())


@pytest.mark.parametrize("name", FILES)
def test_the_coordinate_system_means_the_same(data_dir: Path, name: str) -> None:
    path = data_dir / "data" / "lidar" / name
    _, theirs = agreement.read("readers.las", path, count=1)
    cloud = ours(path, count=1)
    unit = cloud.history[0].figures["units"]
    if name in ("laspy_plane.laz", "pdal_lone-star.laz"):
        # Put together from parameters, and geocentric, in GeoTIFF keys: of the system we take codes alone.
        assert cloud.crs is None
        horizontal = theirs["srs"]["units"]["horizontal"]
        # PDAL names no unit of a geocentric system; those that tell none are in metres (GeoTIFF 1.1, 7.5.3).
        assert unit in (None, "metre" if horizontal == "unknown" else horizontal)
    elif cloud.crs is None:
        assert theirs["srs"]["proj4"] == ""
    else:
        _, meant = agreement.read("readers.las", path, count=1, override_srs=cloud.crs)
        # Heights in metres besides, by keys that the records with the WKT stand beside.
        assert meant["srs"]["proj4"] == theirs["srs"]["proj4"].replace(" +vunits=m", "")
        assert unit == ("degree" if theirs["srs"]["isgeographic"] else theirs["srs"]["units"]["horizontal"])


def everything(path: Path, minor: int, number: int, count: int = 400) -> PointCloud:
    """A file by laspy, random in every bit of every point, with extra bytes, scaled and plain, one number and three."""
    header = laspy.LasHeader(point_format=number, version=f"1.{minor}")
    header.scales, header.offsets = np.array([0.01, 0.001, 0.25]), np.array([1000.0, -5.5, 0.0])
    scaled = {"scales": np.array([0.01]), "offsets": np.array([100.0])}
    three = {"scales": np.array([0.5, 1.0, 2.0]), "offsets": np.array([0.0, 1.0, 2.0])}
    for extra in (
        laspy.ExtraBytesParams("Depth", "i2", **scaled),
        laspy.ExtraBytesParams("Axis", "3u2", **three),
        laspy.ExtraBytesParams("Plain", "u4", "of its own"),
        laspy.ExtraBytesParams("Pair", "2i1"),
    ):
        header.add_extra_dims([extra])
    raw = np.random.default_rng(number).integers(0, 256, (count, header.point_format.size), dtype=np.uint8)
    las = laspy.LasData(header)
    las.points = laspy.ScaleAwarePointRecord(
        raw.view(header.point_format.dtype()).ravel(), header.point_format, header.scales, header.offsets
    )
    las.write(path)
    return ours(path)


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize(("minor", "number"), VERSIONS)
def test_random_bits_of_every_version(tmp_path: Path, minor: int, number: int, suffix: str) -> None:
    path, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    if minor < 2:
        everything(tmp_path / "a.las", 2, number)
        LasWriter(filename=str(path), minor_version=minor).write(ours(tmp_path / "a.las"))
    else:
        everything(path, minor, number)
    before = assert_agree(path)
    LasWriter(filename=str(out)).write(before)
    after = assert_agree(out)
    np.testing.assert_array_equal(after.xyz, before.xyz)


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize("name", KINDS)
def test_what_we_write_pdal_reads(tmp_path: Path, data_dir: Path, name: str, suffix: str) -> None:
    cloud = ours(data_dir / "data" / "lidar" / name, count=2000)
    hidden = (TAKEN,) if name == "pdal_extrabytes.las" else ()
    out = tmp_path / f"out{suffix}"
    for options in [{}, *({"minor_version": minor, "dataformat_id": number} for minor, number in VERSIONS)]:
        LasWriter(filename=str(out), **options).write(cloud)
        again = assert_agree(out, hidden)
        np.testing.assert_array_equal(again.xyz, cloud.xyz)


def test_denoised_points_are_read_where_they_went(tmp_path: Path, data_dir: Path) -> None:
    cloud = ours(data_dir / "data" / "lidar" / "pdal_autzen_trim.laz", count=1500)
    spd = stage_class("filters.spd")()
    assert isinstance(spd, Filter)
    moved = spd.run(cloud)
    assert moved.moved.any()
    for suffix, options in [(".las", {}), (".laz", {"minor_version": 4, "dataformat_id": 7}), (".laz", {})]:
        out = tmp_path / f"out{suffix}"
        LasWriter(filename=str(out), **options).write(moved)
        again = assert_agree(out)
        assert np.abs(again.xyz - moved.xyz).max() <= 0.005 + 1e-9
        points, metadata = agreement.read("readers.las", out)
        before, _ = agreement.read("readers.las", data_dir / "data" / "lidar" / "pdal_autzen_trim.laz", count=1500)
        for dimension in set(before.dtype.names or ()) - set("XYZ"):
            if dimension == "ScanAngleRank" and options:
                continue  # whole degrees there, steps of 0.006 here
            np.testing.assert_array_equal(points[dimension], before[dimension], err_msg=dimension)
        assert metadata["minz"] == pytest.approx(points["Z"].min(), rel=1e-9)
        assert metadata["maxx"] == pytest.approx(points["X"].max(), rel=1e-9)


def test_new_dimensions_and_systems_are_read_by_pdal(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    types = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
    dims = {f"Of{kind}": random.integers(0, 100, 300).astype(kind) for kind in types}
    colors = {"Red": random.integers(0, 65536, 300).astype(np.uint16)}
    cloud = PointCloud(random.uniform(0, 1000, (300, 3)) + np.array([5e5, 5.4e6, 100]), dims | colors)
    for name, options in [("a.laz", {}), ("b.las", {"minor_version": 2, "dataformat_id": 3})]:
        LasWriter(filename=str(tmp_path / name), a_srs="EPSG:25832", **options).write(cloud)
        again = assert_agree(tmp_path / name)
        assert set(dims) <= set(again.dims)
        _, metadata = agreement.read("readers.las", tmp_path / name)
        assert "+proj=utm +zone=32" in metadata["srs"]["proj4"]
        assert metadata["srs"]["units"]["horizontal"] == "metre"


#: What PDAL's writer is told, besides versions and formats.
THEIR_OPTIONS: list[Options] = [
    {},
    {"forward": "all"},
    {"forward": "all", "extra_dims": "all"},
    {"extra_dims": "all", "minor_version": 4},
    {"forward": "all", "pdal_metadata": True, "minor_version": 4},
    {f"{part}_{axis}": "auto" for part in ("scale", "offset") for axis in "xyz"},
    {"scale_x": 0.0123456789012, "scale_z": 1e-5, "offset_x": 123.456789012345, "forward": "header"},
    {"compression": "none", "system_id": "a" * 32, "software_id": "b" * 32, "filesource_id": 65535},
]


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize("name", [*KINDS, "laspy_plane.laz", "laspy_simple1_4.las", "pdal_lone-star.copc.laz"])
def test_what_pdal_writes_we_read(tmp_path: Path, data_dir: Path, name: str, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    read = {"type": "readers.las", "filename": str(data_dir / "data" / "lidar" / name), "count": 1500}
    for options in [*THEIR_OPTIONS, *({"minor_version": minor, "dataformat_id": number} for minor, number in VERSIONS)]:
        fits = {f"offset_{axis}": "auto" for axis in "xyz"}
        agreement.run_stages([read, {"type": "writers.las", "filename": str(out), **fits, **options}])
        # PDAL 2.2 makes Infrared an extra dimension though point format 8 has a place for it.
        twice = name == "ign_several_extra_bytes.laz" and {"forward", "extra_dims"} <= set(options)
        assert_agree(out, (TAKEN.replace("Intensity", "Infrared"),) if twice else ())


def test_pdals_other_compressor(tmp_path: Path, data_dir: Path) -> None:
    path, out = data_dir / "data" / "lidar" / "pdal_autzen_trim.las", tmp_path / "a.laz"
    write = {"type": "writers.las", "filename": str(out), "compression": "lazperf", "forward": "all"}
    agreement.run_stages([{"type": "readers.las", "filename": str(path)}, write])
    try:
        agreement.read("readers.las", out)
    except RuntimeError:
        # Debian's PDAL 2.2 lacks lazperf, and writes neither compressed points nor a record that says how.
        with pytest.raises(ReadError, match="no LASzip record"):
            ours(out)
    else:
        np.testing.assert_array_equal(assert_agree(out).xyz, ours(path).xyz)


@pytest.mark.parametrize("minor", [2, 4])
@pytest.mark.parametrize("crs", ["EPSG:2903", "EPSG:4326", "EPSG:3857", "EPSG:2263", "EPSG:28992+5709"])
def test_systems_that_pdal_writes_mean_the_same_to_us(tmp_path: Path, crs: str, minor: int) -> None:
    out = tmp_path / "a.las"
    write = {"type": "writers.las", "filename": str(out), "minor_version": minor, "a_srs": crs}
    agreement.run_stages([write], [agreement.structured(np.arange(30.0).reshape(10, 3))])
    cloud = assert_agree(out)
    _, theirs = agreement.read("readers.las", out)
    _, meant = agreement.read("readers.las", out, override_srs=cloud.crs)
    # Of GeoTIFF keys, we take the horizontal system.
    height = " +vunits=m" if minor < 4 else ""
    assert meant["srs"]["proj4"] == theirs["srs"]["proj4"].replace(height, "")
    unit = "degree" if theirs["srs"]["isgeographic"] else theirs["srs"]["units"]["horizontal"]
    assert cloud.history[0].figures["units"] == unit


def test_records_of_the_user_before_and_behind_the_points(tmp_path: Path) -> None:
    texts = [b"near" * 250, b"far behind" * 10_000]
    records = [
        {"user_id": "someone", "record_id": 42 + k, "description": "of mine", "data": b64encode(text).decode()}
        for k, text in enumerate(texts)
    ]
    out, again = tmp_path / "a.laz", tmp_path / "again.las"
    write = {"type": "writers.las", "filename": str(out), "minor_version": 4, "vlrs": records}
    agreement.run_stages([write], [agreement.structured(np.arange(30.0).reshape(10, 3))])
    LasWriter(filename=str(again)).write(assert_agree(out))
    source: Any = assert_agree(again).source
    assert [record.data for record in (*source.vlrs, *source.evlrs) if record.id[0] == "someone"] == texts


def put(data: bytes, kind: str, *places: tuple[int, float]) -> bytes:
    """``data`` with a number of the struct type ``kind`` at each of the ``places``: byte, value."""
    changed = bytearray(data)
    for at, value in places:
        struct.pack_into(kind, changed, at, value)
    return bytes(changed)


def test_odd_files_that_both_read(tmp_path: Path, data_dir: Path) -> None:
    cloud = ours(data_dir / "data" / "lidar" / "pdal_autzen_trim.las", count=300)
    LasWriter(filename=str(tmp_path / "old.las")).write(cloud)
    LasWriter(filename=str(tmp_path / "new.las"), minor_version=4, dataformat_id=7).write(cloud)
    old, new = (tmp_path / "old.las").read_bytes(), (tmp_path / "new.las").read_bytes()
    (start,) = struct.unpack_from("<I", old, 96)
    odd = {
        "fewer points than there are": (put(old, "<I", (107, 100)), 100),
        "a count of none": (put(old, "<I", (107, 0)), 0),
        "a gap before the points": (put(old[:start] + b"gap!" * 10 + old[start:], "<I", (96, start + 40)), 300),
        "bytes behind the points": (old + b"more" * 50, 300),
        "a negative scale": (put(old, "<d", (131, -0.01)), 300),
        "bounds that are no numbers": (put(old, "<d", (179, np.nan)), 300),
        "fewer records than there are": (put(old, "<I", (100, 1)), 300),
        "a longer header": (
            put(put(old[:227] + bytes(20) + old[227:], "<H", (94, 247)), "<I", (96, start + 20)),
            300,
        ),
        "a wrong legacy count": (put(new, "<I", (107, 7)), 300),
        "nothing but a head": (put(old[:start], "<I", (107, 0)), 0),
    }
    for name, (data, count) in odd.items():
        path = tmp_path / f"{name}.las"
        path.write_bytes(data)
        points, _ = agreement.read("readers.las", path)
        read = ours(path)
        assert len(read) == count, name
        agreement.assert_same_points(read, points)


def test_damaged_files_are_refused_with_a_sentence(tmp_path: Path, data_dir: Path) -> None:
    """PDAL refuses them as well, or reads what it finds: there is nothing to agree with but that it is no crash."""
    whole = (data_dir / "data" / "lidar" / "pdal_4_6_crop.las").read_bytes()
    count, nan = (10**6).to_bytes(4, "little"), np.float64(np.nan).tobytes()
    damaged = {
        "cut": whole[:-1000],
        "head": whole[:150],
        "count": whole[:107] + count + whole[111:],
        "scale": whole[:131] + nan + whole[139:],
    }
    for name, data in damaged.items():
        path = tmp_path / f"{name}.las"
        path.write_bytes(data)
        with pytest.raises(ReadError, match=f"{name}.las: .*(copy|scale)"):
            ours(path)


#: Point formats 1, 3, 6, 7 and 8, extra bytes, and more points than one node has.
COPC = ["laspy_vegetation_1_3.las", "laspy_plane.laz", "pdal_autzen_trim.laz", "ign_several_extra_bytes.laz"]


@pytest.mark.parametrize("name", COPC)
def test_copc_is_read_as_laz(data_dir: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.copc.laz"
    source = ours(data_dir / "data" / "lidar" / name)
    CopcWriter(filename=str(path)).write(source)
    cloud = assert_agree(path)
    order, other = (np.lexsort(one.xyz.T) for one in (source, cloud))
    assert (source.xyz[order] == cloud.xyz[other]).all()


@pytest.mark.lacks_program("PDAL of 2.3 or later")
def test_copc_is_read_by_its_index(data_dir: Path, tmp_path: Path) -> None:
    drivers = subprocess.run(["pdal", "--drivers"], capture_output=True, text=True, check=True).stdout
    if "readers.copc" not in drivers:
        pytest.skip("this PDAL has no readers.copc, which came with 2.3: windows of writers.copc were not read by it")
    path = tmp_path / "a.copc.laz"
    CopcWriter(filename=str(path)).write(ours(data_dir / "data" / "lidar" / "pdal_autzen_trim.laz"))
    low, high = np.quantile(ours(path).xyz[:, :2], [0.4, 0.6], axis=0).tolist()
    box = f"([{low[0]}, {high[0]}], [{low[1]}, {high[1]}])"
    points, _ = agreement.read("readers.copc", path, bounds=box)
    here = ours(path, bounds=box)
    assert len(here) == len(points) > 100
    assert (np.sort(agreement.places(points), axis=0) == np.sort(here.xyz, axis=0)).all()
