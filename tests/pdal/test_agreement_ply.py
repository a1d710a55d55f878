"""readers.ply and writers.ply beside real PDAL's: what one writes, both read alike, names included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import agreement
import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.readers.las import LasReader
from deburr.readers.ply import Ply as PlyReader
from deburr.writers.ply import Ply as PlyWriter

Options = dict[str, Any]

#: Flags that PDAL 2.2 has no dimensions for, and a name of another program, which it spells as the file does.
SPELT = {
    "synthetic": "Synthetic", "keypoint": "KeyPoint", "withheld": "Withheld", "overlap": "Overlap",
    "scalar_intensity": "Intensity",
}  # fmt: skip
OUR_OPTIONS: list[Options] = [
    {},
    {"storage_mode": "ascii"},
    {"storage_mode": "little endian", "sized_types": True},
    {"storage_mode": "big endian", "sized_types": False},
    {"storage_mode": "ascii", "precision": 4, "sized_types": True},
]
THEIR_OPTIONS: list[Options] = [
    {"storage_mode": "ascii"},
    {"storage_mode": "ascii", "precision": 9},
    {"storage_mode": "little endian"},
    {"storage_mode": "big endian"},
    {"storage_mode": "little endian", "sized_types": False},
    {"storage_mode": "big endian", "dims": "X,Y,Z,Intensity,GpsTime"},
    {"storage_mode": "little endian", "dims": "X=float,Y=double,Z=double,Intensity=uint32_t"},
]


def assert_agree(path: Path, narrow: bool = False) -> PointCloud:
    """Both read ``path`` to the same names, types and bits.

    ``narrow``: its coordinates are text declared as float, which PDAL reads as doubles.
    """
    cloud = PlyReader(filename=str(path)).read()
    points, _ = agreement.read("readers.ply", path)
    places = agreement.places(points)
    np.testing.assert_array_equal(cloud.xyz, places.astype(np.float32) if narrow else places)
    names = [name for name in points.dtype.names or () if name not in "XYZ"]
    # A second name of what the file has already stays as it is spelt, with us too.
    called = {name: name if SPELT.get(name) in names else SPELT.get(name, name) for name in names}
    theirs = {called[name]: points[name] for name in names}
    assert {name: column.dtype for name, column in cloud.dims.items()} == {n: c.dtype for n, c in theirs.items()}
    for name, column in cloud.dims.items():
        assert column.tobytes() == theirs[name].tobytes(), name
    assert cloud.history[0].warnings == ()
    return cloud


def made(kinds: tuple[str, ...]) -> PointCloud:
    random = np.random.default_rng(5)
    dims = {f"Of{kind}": random.integers(0, 100, 60).astype(kind) for kind in kinds}
    dims |= {"NormalX": random.normal(size=60), "HeightAboveGround": random.normal(size=60).astype(np.float32)}
    return PointCloud(random.uniform(-1e6, 1e6, (60, 3)), {**dims, "Several": random.normal(size=(60, 3))})


@pytest.mark.parametrize("options", OUR_OPTIONS, ids=str)
def test_what_we_write_pdal_reads(tmp_path: Path, data_dir: Path, options: Options) -> None:
    lidar = data_dir / "data" / "lidar"
    clouds = [
        made(("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")),
        LasReader(filename=str(lidar / "ign_several_extra_bytes.laz"), count=800).read(),
        LasReader(filename=str(lidar / "laspy_vegetation_1_3.las"), count=800).read(),
    ]
    for number, cloud in enumerate(clouds):
        path = tmp_path / f"{number}.ply"
        PlyWriter(filename=str(path), **options).write(cloud)
        again = assert_agree(path)
        step = 0.5 * 10.0 ** -options["precision"] if "precision" in options else 0.0
        assert np.abs(again.xyz - cloud.xyz).max() <= step * 1.001
        assert {"Several_0", "Several_1", "Several_2"} <= set(again.dims) or number


@pytest.mark.parametrize("options", OUR_OPTIONS, ids=str)
def test_a_real_ply_passes_through_both(tmp_path: Path, data_dir: Path, options: Options) -> None:
    path = data_dir / "data" / "lidar" / "small_gicp_source.ply"
    cloud = assert_agree(path)
    few = cloud.select(np.arange(3000))
    ours = tmp_path / "ours.ply"
    PlyWriter(filename=str(ours), **options).write(few)
    again = assert_agree(ours, narrow=options.get("storage_mode") == "ascii")
    if "precision" not in options:
        np.testing.assert_array_equal(again.xyz, few.xyz)
    np.testing.assert_array_equal(again.dims["Intensity"], few.dims["Intensity"])


@pytest.mark.parametrize("options", THEIR_OPTIONS, ids=str)
def test_what_pdal_writes_we_read(tmp_path: Path, data_dir: Path, options: Options) -> None:
    for name in ("ign_several_extra_bytes.laz", "pdal_autzen_trim.las", "laspy_vegetation_1_3.las"):
        read = {"type": "readers.las", "filename": str(data_dir / "data" / "lidar" / name), "count": 600}
        path = tmp_path / "theirs.ply"
        before, _ = agreement.run_stages([read, {"type": "writers.ply", "filename": str(path), **options}])
        cloud = assert_agree(path)
        if options["storage_mode"] != "ascii" and "X=" not in options.get("dims", ""):
            np.testing.assert_array_equal(cloud.xyz, agreement.places(before))
            for dimension, column in cloud.dims.items():
                np.testing.assert_array_equal(column, before[dimension], err_msg=dimension)
        # Through ours once more: the same properties under the same names.
        PlyWriter(filename=str(tmp_path / "again.ply")).write(cloud)
        again = assert_agree(tmp_path / "again.ply")
        assert list(again.dims) == list(cloud.dims)
        np.testing.assert_array_equal(again.xyz, cloud.xyz)


def test_faces_of_pdal_are_carried(tmp_path: Path) -> None:
    corners = agreement.structured(np.random.default_rng(2).uniform(0, 9, (30, 3)))
    path, out = tmp_path / "mesh.ply", tmp_path / "out.ply"
    write = {"type": "writers.ply", "filename": str(path), "faces": True, "storage_mode": "little endian"}
    agreement.run_stages([{"type": "filters.delaunay"}, write], [corners])
    cloud = assert_agree(path)
    PlyWriter(filename=str(out)).write(cloud)
    assert_agree(out)
    bodies = [file.read_bytes().partition(b"end_header\n")[2] for file in (path, out)]
    assert bodies[0] == bodies[1]
    assert len(bodies[0]) > 30 * 24 + 30 * 13


def test_every_dimension_of_pdal_has_its_name_in_ours(tmp_path: Path) -> None:
    import pdal

    known = [dimension["name"] for dimension in pdal.dimensions]
    # Omit is no dimension. "time" PDAL takes for milliseconds since the first point, which is not what others mean.
    names = [name for name in known if name not in ("X", "Y", "Z", "Omit")]
    others = ["nx", "ny", "nz", "MyOwn", "scalar_intensity", "r"]
    taken = {"NormalX", "NormalY", "NormalZ"}
    lines = [
        f"property double {name}" for name in ["x", "y", "z", *others, *(n.lower() for n in names if n not in taken)]
    ]
    path = tmp_path / "all.ply"
    body = ["ply", "format ascii 1.0", "element vertex 1", *lines, "end_header", " ".join(map(str, range(len(lines))))]
    path.write_text("\n".join([*body, ""]))
    assert set(names) <= set(assert_agree(path).dims)
    colours = [f"property uchar diffuse_{colour}" for colour in ("red", "green", "blue")]
    body = ["ply", "format ascii 1.0", "element vertex 1", *lines[:3], *colours, "end_header", "1 2 3 4 5 6", ""]
    path.write_text("\n".join(body))
    assert set(assert_agree(path).dims) == {"Red", "Green", "Blue"}
