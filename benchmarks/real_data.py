"""The real clouds of the data folder, which are used for nothing but judging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from open3d_door import open3d
from protocol import DATA

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.registry import stage_class
from deburr.core.stage import Reader

#: Points of a cloud that are used: those nearest in plan to its middle.
MOST = 60_000
#: Every cloud once, by name.
CLOUDS = {
    "AHN3 1": "lidar/3dfier_ahn3_cropped_1.laz",
    "AHN3 2": "lidar/3dfier_ahn3_cropped_2.laz",
    "IGN 77055": "lidar/ign_77055_627755.laz",
    "IGN extra bytes": "lidar/ign_several_extra_bytes.laz",
    "forest": "lidar/lasR_bcts_1.laz",
    "Lone Star": "lidar/pdal_lone-star.laz",
    "Autzen (feet)": "lidar/pdal_autzen_trim.laz",
    "4_6 crop": "lidar/pdal_4_6_crop.las",
    "extra bytes": "lidar/pdal_extrabytes.las",
    "full waveform": "lidar/laspy_fullwave.laz",
    "plane": "lidar/laspy_plane.laz",
    "simple 1.4": "lidar/laspy_simple1_4.las",
    "vegetation": "lidar/laspy_vegetation_1_3.las",
    "spinning": "lidar/small_gicp_source.ply",
    "bunny": "real/stanford_bunny_scan.pts",
    "region growing": "real/pcl_region_growing.pcd",
    "room": "real/pcl_room_scan.pcd",
    "Kinect table": "real/pcl_kinect_table.pcd",
    "Kinect kitchen": "real/pcl_kinect_kitchen.pcd",
}
#: Those whose flight lines overlap.
STRIPS = ("AHN3 1", "AHN3 2", "IGN 77055", "forest")


@dataclass(frozen=True, eq=False)
class Cloud:
    """The points that count, (N, 3) float64 in the file's units, and the flight line (N,) of each, if that is told."""

    name: str
    xyz: Floats
    line: npt.NDArray[np.int64] | None


def read(name: str) -> Cloud:
    """A cloud of `CLOUDS`; rows without coordinates and points that do not count (classes 7 and 18) are left out."""
    path = DATA / CLOUDS[name]
    if path.suffix in (".pts", ".pcd"):
        xyz = np.loadtxt(path, skiprows=1)[:, :3] if path.suffix == ".pts" else _pcd(str(path))
        return Cloud(name, xyz[np.isfinite(xyz).all(1)], None)
    reader = stage_class("readers.ply" if path.suffix == ".ply" else "readers.las").model_validate(
        {"filename": str(path)}
    )
    assert isinstance(reader, Reader)
    whole = reader.read()
    counting: PointCloud = whole.select(whole.active)
    line = counting.dims.get("PointSourceId")
    return Cloud(name, counting.xyz, None if line is None else np.asarray(line, dtype=np.int64))


def unique_centre(cloud: Cloud) -> Floats:
    """The `MOST` different points nearest in plan to the median x and y, in the file's order, minus their mean."""
    rows = np.sort(np.unique(cloud.xyz, axis=0, return_index=True)[1])
    return _centred(cloud.xyz[_nearest(cloud.xyz[rows], np.median(cloud.xyz[:, :2], axis=0), rows)])


def overlap(cloud: Cloud, cell: float = 3.0) -> tuple[Floats, Floats]:
    """The two lines with most points, cut to the `MOST` points about the middle of what both see; minus their mean.

    Both see the squares of ``cell`` in plan, in the file's units, in which each has a point.
    """
    assert cloud.line is not None
    numbers, counts = np.unique(cloud.line, return_counts=True)
    first, second = numbers[np.argsort(-counts, kind="stable")[:2]]
    rows = np.flatnonzero(np.isin(cloud.line, (first, second)))
    squares = np.unique(np.floor(cloud.xyz[rows, :2] / cell), axis=0, return_inverse=True)[1].reshape(-1)
    mine = cloud.line[rows] == first
    both = (np.bincount(squares, mine) > 0) & (np.bincount(squares, ~mine) > 0)
    shared = rows[both[squares]]
    kept = _nearest(cloud.xyz[rows], np.median(cloud.xyz[shared, :2], axis=0), rows)
    xyz = _centred(cloud.xyz[kept])
    return xyz[cloud.line[kept] == first], xyz[cloud.line[kept] == second]


def _nearest(xyz: Floats, middle: Floats, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Those of ``rows``, the numbers of ``xyz``, that are nearest in plan to ``middle`` (2,), in their order."""
    away = ((xyz[:, :2] - middle) ** 2).sum(1)
    return np.asarray(rows[np.sort(np.argsort(away, kind="stable")[:MOST])])


def _centred(xyz: Floats) -> Floats:
    return np.asarray(xyz - xyz.mean(0))


def _pcd(path: str) -> Floats:
    return np.asarray(open3d().io.read_point_cloud(path).points, dtype=np.float64)
