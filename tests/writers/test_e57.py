"""writers.e57: what was read comes back, what moved is where it should be, and clouds from elsewhere fit in."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from e57_files import apart, integer, made, together
from hypothesis import given, settings
from hypothesis import strategies as st

from deburr.core.arrays import Dims
from deburr.core.cloud import Extent, PointCloud
from deburr.core.errors import WriteError
from deburr.formats.e57.file import E57Source
from deburr.formats.e57.records import Field
from deburr.formats.e57.tree import as_xml
from deburr.pipeline import run
from deburr.readers.e57 import E57 as Reader
from deburr.writers.e57 import E57 as Writer

POSE = (0.5, -0.5, 0.5, 0.5, 500_000.25, 5_400_000.5, 100.0)
GROUPS = (
    '<pointGroupingSchemes type="Structure"><groupingByLine type="Structure">'
    '<idElementName type="String">a</idElementName></groupingByLine></pointGroupingSchemes>'
)
ANGLES = [Field(f"spherical{name}", "double") for name in ("Range", "Azimuth", "Elevation")]


def steps_of(local: Any, low: int, high: int) -> dict[Field, Any]:
    """Coordinates (3, N) in steps of a tenth of a millimetre."""
    return {integer(f"cartesian{a}", low, high, 1e-4): np.rint(c * 1e4) for a, c in zip("XYZ", local, strict=True)}


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Scans of every kind of coordinates, with and without pose, and fields of every kind."""
    random = np.random.default_rng(draw(st.integers(0, 999)))
    scans, poses = [], []
    for _ in range(draw(st.integers(0, 3))):
        count = draw(st.integers(0, 80))
        local = random.uniform(-20, 20, (3, count))
        kind = draw(st.sampled_from(["single", "double", "steps", "spherical"]))
        table: dict[Field, Any] = {}
        if kind == "steps":
            table |= steps_of(local, -(2**20), 2**20)
        elif kind == "spherical":
            angles = (np.abs(local[0]), local[1] / 7, local[2] / 14)
            table |= dict(zip(ANGLES, angles, strict=True))
        else:
            table |= {Field(f"cartesian{a}", kind): c for a, c in zip("XYZ", local, strict=True)}
        if draw(st.booleans()):
            table[Field("intensity", "single")] = random.uniform(-3, 5, count)
        if draw(st.booleans()):
            table |= {integer(f"color{c}", 0, 255): random.integers(0, 256, count) for c in ("Red", "Green", "Blue")}
        if draw(st.booleans()):
            table |= {integer("rowIndex", 0, 999): random.integers(0, 999, count)}
            table |= {integer("cartesianInvalidState", 0, 2): random.integers(0, 3, count)}
        if draw(st.booleans()):
            table |= {Field(f"nor:normal{axis}", "single"): random.normal(size=count) for axis in "XYZ"}
        bits = draw(st.integers(0, 64))
        table[integer("x:odd", -(2 ** (bits - 1)) if bits else 5, 2 ** (bits - 1) - 1 if bits else 5)] = np.full(
            count, 5 if bits == 0 else 0 if bits < 4 else 5
        )
        scans.append(table)
        poses.append(draw(st.sampled_from([None, POSE])))
    return made(scans, poses, image=draw(st.binary(max_size=3000)), crs=draw(st.sampled_from(["", "EPSG:25832"])))


def source_of(cloud: PointCloud) -> E57Source:
    assert isinstance(cloud.source, E57Source)
    return cloud.source


def assert_kept(before: Path, after: Path) -> None:
    """Everything but where things lie in the file is the same."""
    one, other = (Reader(filename=str(path)).read() for path in (before, after))
    assert one.xyz.tobytes() == other.xyz.tobytes()
    assert one.dims.keys() == other.dims.keys()
    for name, column in one.dims.items():
        assert column.dtype == other.dims[name].dtype
        assert column.tobytes() == other.dims[name].tobytes(), name
    for scan, again in zip(source_of(one).scans, source_of(other).scans, strict=True):
        assert scan.fields == again.fields
        for name, raw in scan.raw.items():
            assert raw.tobytes() == again.raw[name].tobytes(), name
    trees = [source_of(cloud).root.copied() for cloud in (one, other)]
    for tree in trees:
        for node in tree.walk():
            node.attributes.pop("fileOffset", None)
    assert as_xml(trees[0]) == as_xml(trees[1])


@settings(deadline=None, max_examples=60)
@given(files())
def test_what_did_not_change_comes_back(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("e57")
    before, after = folder / "in.e57", folder / "out.e57"
    before.write_bytes(data)
    result = run([str(before), {"type": "filters.spd", "strength": 0}, str(after)])
    assert "coordinate_rounding_max" not in result.cloud.history[-1].figures
    assert_kept(before, after)
    images = [apart(path.read_bytes())[0] for path in (before, after)]
    assert len(images[0]) == len(images[1])


def sheet(count: int = 400) -> dict[Field, Any]:
    random = np.random.default_rng(3)
    local = np.stack([random.uniform(0, 4, count), random.uniform(0, 4, count), random.normal(5, 0.05, count)])
    steps = steps_of(local, 0, 50_000)
    return {**steps, integer("cartesianInvalidState", 0, 2): (np.arange(count) < 20) * 2}


def test_moved_points_are_rounded_to_their_steps_and_the_others_keep_theirs(tmp_path: Path) -> None:
    before, after = tmp_path / "in.e57", tmp_path / "out.e57"
    before.write_bytes(made([sheet(), sheet()], [POSE, None], image=b"jpeg" * 1000))
    result = run([str(before), {"type": "filters.spd", "noise": 0.05, "where": "PointSourceId == 1"}, str(after)])
    one, other = (Reader(filename=str(path)).read() for path in (before, after))
    assert np.abs(other.xyz - result.cloud.xyz).max() < 1e-4
    moved = result.cloud.moved
    assert moved[:400].mean() > 0.9
    assert not moved[400:].any()
    assert not moved[:20].any()
    assert other.xyz[~moved].tobytes() == one.xyz[~moved].tobytes()
    assert 0 < result.cloud.history[-1].figures["coordinate_rounding_max"] <= 0.5001e-4
    assert apart(after.read_bytes())[0].endswith(b"jpeg" * 1000)


@pytest.mark.parametrize("kind", ["single", "double"])
def test_points_beyond_the_limits_of_their_fields(tmp_path: Path, kind: str) -> None:
    before, after = tmp_path / "in.e57", tmp_path / "out.e57"
    other = {Field(f"cartesian{a}", kind): [1.0, 2.0] for a in "XYZ"}
    before.write_bytes(made([{integer(f"cartesian{a}", 0, 5, 0.5): [0, 5] for a in "XYZ"}, other]))
    cloud = Reader(filename=str(before)).read()
    Writer(filename=str(after)).write(cloud.with_xyz(cloud.xyz + 1000.25))
    again = Reader(filename=str(after)).read()
    assert np.abs(again.xyz - cloud.xyz - 1000.25).max() <= 0.25
    assert again.xyz[2:].tolist() == (cloud.xyz[2:] + 1000.25).tolist()


def test_moved_points_of_a_spherical_scan(tmp_path: Path) -> None:
    before, after = tmp_path / "in.e57", tmp_path / "out.e57"
    raw = ([2.0, 3.0, 0.0], [0.5, -3.0, 0.0], [0.5, -1.0, 0.0])
    before.write_bytes(made([dict(zip(ANGLES, raw, strict=True))], [POSE]))
    cloud = Reader(filename=str(before)).read()
    xyz = cloud.xyz + np.array([[0.1, 0.2, -0.3], [0, 0, 0], [1, 1, 1]])
    Writer(filename=str(after)).write(cloud.with_xyz(xyz))
    again = Reader(filename=str(after)).read()
    assert np.abs(again.xyz - xyz).max() < 2e-9
    assert again.xyz[1].tobytes() == cloud.xyz[1].tobytes()


def test_values_that_a_stage_changed(tmp_path: Path) -> None:
    before, after = tmp_path / "in.e57", tmp_path / "out.e57"
    intensity = Field("intensity", "single")
    scan = {**sheet(40), intensity: np.linspace(0, 1, 40), integer("returnIndex", 0, 3): np.arange(40) % 4}
    before.write_bytes(made([scan], [POSE]))
    cloud = Reader(filename=str(before)).read()
    changed = {name: cloud.dims[name].copy() for name in ("Intensity", "ReturnNumber", "Withheld")}
    for column in changed.values():
        column[30] = 1
    added: Dims = {"Classification": np.full(40, 7, np.uint8), "Uncertainty": np.full(40, np.nan, np.float32)}
    written = cloud.with_dims({**changed, **added, "two": np.arange(80.0).reshape(40, 2)})
    Writer(filename=str(after)).write(written)
    again = Reader(filename=str(after)).read()
    for name, column in {**changed, **added}.items():
        assert again.dims[name].dtype == column.dtype, name
        assert np.array_equal(again.dims[name], column, equal_nan=column.dtype.kind == "f"), name
    assert again.dims["two_1"].tolist() == list(range(1, 80, 2))
    raw = [source_of(one).scans[0].raw["intensity"] for one in (cloud, again)]
    assert (raw[0] != raw[1]).nonzero()[0].tolist() == [30]


def test_dimensions_that_a_stage_took_away_and_points_that_it_removed(tmp_path: Path) -> None:
    before, after = tmp_path / "in.e57", tmp_path / "out.e57"
    before.write_bytes(made([{**sheet(50), integer("rowIndex", 0, 99): np.arange(50)}, sheet(50)], [POSE], more=GROUPS))
    cloud = Reader(filename=str(before)).read().select(np.arange(10, 60))
    cloud = replace(cloud, dims={name: column for name, column in cloud.dims.items() if name != "rowIndex"})
    written = Writer(filename=str(after)).write(cloud)
    again = Reader(filename=str(after)).read()
    assert again.xyz.tobytes() == cloud.xyz.tobytes()
    assert again.dims["PointSourceId"].tolist() == [1] * 40 + [2] * 10
    assert "rowIndex" not in again.dims
    assert "pointGroupingSchemes" not in as_xml(source_of(again).root).decode()
    (warning,) = written.history[-1].warnings
    assert "groups" in warning


def test_a_cloud_from_elsewhere(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    xyz = random.uniform(-1, 1, (50, 3)) + np.array([5e5, 5.4e6, 100])
    kinds = ("u1", "i1", "u2", "i4", "u4", "i8")
    dims: dict[str, Any] = {kind: random.integers(0, 99, 50).astype(kind) for kind in kinds}
    dims |= {"Intensity": random.integers(0, 65536, 50).astype(np.uint16), "Red": np.full(50, 65535, np.uint16)}
    dims |= {"ReturnNumber": np.zeros(50, np.uint8), "flag": random.random(50) < 0.5, "NormalX": random.random(50)}
    dims |= {"PointSourceId": np.full(50, 77, np.uint16), "1 odd/näme": np.arange(50.0), "rowIndex": np.arange(50)}
    written = Writer(filename=str(tmp_path / "out.e57")).write(PointCloud(xyz, dims, crs="EPSG:25832"))
    assert not written.history[-1].warnings
    again = Reader(filename=str(tmp_path / "out.e57")).read()
    assert again.xyz.tobytes() == xyz.tobytes()
    assert again.crs == "EPSG:25832"
    assert again.dims["_odd_n_me"].tolist() == dims["1 odd/näme"].tolist()
    for name, column in dims.items():
        if name != "1 odd/näme":
            assert again.dims[name].tolist() == column.tolist(), name
            assert again.dims[name].dtype.kind in ("u" if name == "flag" else column.dtype.kind, "u"), name


def test_points_without_coordinates_become_invalid_ones(tmp_path: Path) -> None:
    xyz = np.array([[1, 2, 3], [np.nan, 2, 3], [4, 5, np.inf]])
    written = Writer(filename=str(tmp_path / "out.e57")).write(PointCloud(xyz))
    assert "2 points without coordinates" in written.history[-1].warnings[0]
    again = Reader(filename=str(tmp_path / "out.e57")).read()
    assert again.xyz.tolist() == [[1, 2, 3], [0, 0, 0], [0, 0, 0]]
    assert again.active.tolist() == [True, False, False]


def test_images_are_not_copied_from_a_file_that_has_changed(tmp_path: Path) -> None:
    before, after = tmp_path / "in.e57", tmp_path / "out.e57"
    before.write_bytes(made([sheet(40)], image=b"jpeg"))
    cloud = Reader(filename=str(before)).read()
    os.utime(before, (1, 1))
    with pytest.raises(WriteError, match="was changed since it was read"):
        Writer(filename=str(after)).write(cloud)
    assert not after.exists()


def _two_files(folder: Path) -> list[str]:
    """Two files of two scans and one, of other poses and images."""
    folder.mkdir(exist_ok=True)
    (folder / "a.e57").write_bytes(made([sheet(40), sheet(30)], [POSE], image=b"first jpeg"))
    other = (1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0)
    more = '<description type="String">the second</description>'
    (folder / "b.e57").write_bytes(made([sheet(50)], [other], image=b"second jpeg!", crs="EPSG:25832", more=more))
    return [str(folder / "a.e57"), str(folder / "b.e57")]


def _assert_both(path: Path, names: list[str]) -> None:
    """That the file holds all scans, metadata and images of both files."""
    parts = [Reader(filename=name).read() for name in names]
    again = Reader(filename=str(path)).read()
    assert again.xyz.tobytes() == b"".join(part.xyz.tobytes() for part in parts)
    assert again.dims["PointSourceId"].tolist() == [1] * 40 + [2] * 30 + [3] * 50
    assert again.crs == "EPSG:25832"
    scans = [scan for part in parts for scan in source_of(part).scans]
    for old, new in zip(scans, source_of(again).scans, strict=True):
        assert {name: raw.tobytes() for name, raw in old.raw.items()} == {
            name: raw.tobytes() for name, raw in new.raw.items()
        }
        assert (old.pose is None) == (new.pose is None)
        assert old.pose is None or new.pose is None or (old.pose.translation == new.pose.translation).all()
    assert source_of(again).scans[2].node.find("description").text == "the second"  # type: ignore[union-attr]
    between = apart(path.read_bytes())[0]
    assert source_of(again).images == 2
    assert between.count(b"first jpeg") == between.count(b"second jpeg!") == 1


def test_files_that_are_merged_keep_their_scans_and_images(tmp_path: Path) -> None:
    names = _two_files(tmp_path)
    result = run([*names, str(tmp_path / "out.e57")])
    assert not [said for one in result.report["stages"] for said in one["warnings"] if "forwarded" in said]
    _assert_both(tmp_path / "out.e57", names)


def test_parts_of_several_files_keep_their_scans_and_images(tmp_path: Path) -> None:
    names = _two_files(tmp_path)
    clouds = [Reader(filename=name).read() for name in names]
    parts = [clouds[0].select(np.arange(25)), clouds[0].select(np.arange(25, 70)), clouds[1]]
    out = Writer(filename=str(tmp_path / "out.e57")).write_parts(iter(parts), Extent(120, np.zeros(3), np.ones(3)))
    assert out.history[-1].warnings == ()
    assert out.history[-1].figures["scans"] == 3
    _assert_both(tmp_path / "out.e57", names)


def test_what_merged_files_cannot_both_have_is_told(tmp_path: Path) -> None:
    single = {**sheet(20), Field("intensity", "single"): np.linspace(0, 1, 20)}
    wide = {**sheet(20), Field("intensity", "single"): np.linspace(0, 8, 20)}
    for name, table, crs in (("a", single, "EPSG:25832"), ("b", wide, "EPSG:25833")):
        (tmp_path / f"{name}.e57").write_bytes(made([table], crs=crs))
    clouds = [Reader(filename=str(tmp_path / f"{name}.e57")).read() for name in "ab"]
    writer = Writer(filename=str(tmp_path / "out.e57"))
    said = writer.write_parts(clouds, Extent(40, np.zeros(3), np.ones(3))).history[-1].warnings
    assert any("of coordinateMetadata, E57 files have one" in one for one in said)
    assert any("the limits of intensity are not the same in all files" in one for one in said)
    raw = [scan.raw["intensity"] for scan in source_of(Reader(filename=str(tmp_path / "out.e57")).read()).scans]
    assert [one.max() for one in raw] == [1, 8]


def test_prefixes_of_other_meanings_are_not_put_together(tmp_path: Path) -> None:
    names = _two_files(tmp_path)
    between, xml = apart(Path(names[1]).read_bytes())
    Path(names[1]).write_bytes(together(between, xml.replace(b'"urn:x"', b'"urn:y"')))
    clouds = [Reader(filename=name).read() for name in names]
    writer = Writer(filename=str(tmp_path / "out.e57"))
    said = writer.write_parts(clouds, Extent(120, np.zeros(3), np.ones(3))).history[-1].warnings
    assert any("none are forwarded" in one for one in said)


def test_other_formats_tell_what_they_cannot_hold(tmp_path: Path) -> None:
    before = tmp_path / "in.e57"
    before.write_bytes(made([sheet(40), sheet(40)], [POSE], image=b"jpeg"))
    cloud = Reader(filename=str(before)).read()
    for name in ("out.las", "out.ply"):
        report = run([str(before), str(tmp_path / name)]).report
        said = " ".join(report["stages"][-1]["warnings"])
        assert "1 images" in said
        assert "the poses of 1 scans" in said
        again = run([str(tmp_path / name)]).cloud
        assert again.dims["PointSourceId"].tolist() == [1] * 40 + [2] * 40
        assert (np.asarray(again.dims["Withheld"]) == cloud.dims["Withheld"]).all()
        assert np.abs(again.xyz - cloud.xyz).max() < 0.011


@pytest.mark.parametrize("name", ["pdal_4_6_crop.las", "laspy_plane.laz", "small_gicp_source.ply"])
def test_real_files_go_in_and_come_back(data_dir: Path, tmp_path: Path, name: str) -> None:
    source = str(data_dir / "data" / "lidar" / name)
    before = run([source, str(tmp_path / "a.e57")]).cloud
    run([str(tmp_path / "a.e57"), {"type": "filters.spd", "strength": 0}, str(tmp_path / "b.e57")])
    assert (tmp_path / "a.e57").read_bytes() == (tmp_path / "b.e57").read_bytes()
    again = Reader(filename=str(tmp_path / "b.e57")).read()
    assert again.xyz.tobytes() == before.xyz.tobytes()
    assert again.crs == before.crs
    for dim, column in before.dims.items():
        if dim == "Intensity" and column.dtype.kind == "f":
            assert source_of(again).scans[0].raw["intensity"].tobytes() == column.tobytes()
        else:
            assert again.dims[dim].tobytes() == column.tobytes(), dim


def test_libe57_reads_what_is_written(tmp_path: Path) -> None:
    pye57 = pytest.importorskip("pye57")
    path, count = tmp_path / "out.e57", 30_001
    random = np.random.default_rng(0)
    dims: Dims = {
        "Intensity": random.integers(0, 256, count).astype(np.uint8),
        "Red": random.integers(0, 256, count).astype(np.uint8),
        "Withheld": random.integers(0, 2, count).astype(np.uint8),
        "rowIndex": random.integers(0, 300, count).astype(np.uint16),
        "Classification": random.integers(0, 20, count).astype(np.uint8),
    }
    cloud = PointCloud(random.normal(size=(count, 3)), dims)
    Writer(filename=str(path)).write(cloud)
    odd = {**{integer(f"cartesian{a}", -500, 700, 0.01): random.integers(-500, 700, count) for a in "XYZ"},
           integer("colorRed", 3, 77): random.integers(3, 78, count)}  # fmt: skip
    (tmp_path / "odd.e57").write_bytes(made([odd], [POSE]))
    run([str(tmp_path / "odd.e57"), str(tmp_path / "again.e57")])
    with pye57.E57(str(path)) as file:
        raw = file.read_scan_raw(0, ignore_unsupported_fields=True)
    for axis, letter in enumerate("XYZ"):
        assert raw[f"cartesian{letter}"].tobytes() == np.ascontiguousarray(cloud.xyz[:, axis]).tobytes()
    for name, dim in (("intensity", "Intensity"), ("colorRed", "Red"), ("rowIndex", "rowIndex")):
        assert (raw[name] == dims[dim]).all(), name
    assert (raw["cartesianInvalidState"] == dims["Withheld"]).all()
    with pye57.E57(str(tmp_path / "again.e57")) as file:
        raw = file.read_scan_raw(0)
        assert file.get_header(0).translation.tolist() == list(POSE[4:])
    for field, values in odd.items():
        assert np.abs(raw[field.path] - field.values(values)).max() < 1e-12
