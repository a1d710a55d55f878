"""filters.spd and the normals that points carry: told to be stale, or made anew on their own side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.filters._normals import NONE, NORMALS, STALE, carried
from deburr.filters.spd import Spd
from deburr.readers.ply import Ply
from deburr.testing import tiling

TRUE = np.array([-0.6, 0.0, 0.8])


def slope(count: int = 3000, kind: type[np.floating] = np.float32) -> PointCloud:
    """A noisy plane; normals far off, on both sides of it; points 0 to 9 without, 10 to 19 of a noise class."""
    random = np.random.default_rng(4)
    plan = random.uniform(0, 10, (count, 2))
    xyz = np.column_stack([plan, 0.75 * plan[:, 0]]) + random.normal(0, 0.05, (count, 3)) + [4e5, 5e6, 0]
    normals = (TRUE + random.normal(0, 0.3, (count, 3))) * np.where(np.arange(count) % 3, 1, -1)[:, None]
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    normals[:10] = 0
    normals[10:20] = [1, 0, 0]
    classes = np.full(count, 2, np.uint8)
    classes[10:20] = 7
    dims = {name: normals[:, axis].astype(kind) for axis, name in enumerate(NORMALS)}
    return PointCloud(xyz, {**dims, "Classification": classes})


def normals_of(cloud: PointCloud) -> np.ndarray:
    return np.stack([cloud.dims[name] for name in NORMALS], axis=1).astype(np.float64)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_normals_come_anew_on_their_own_side(kind: type[np.floating]) -> None:
    cloud = slope(kind=kind)
    after = Spd(normals="recompute").run(cloud)
    old, new = normals_of(cloud), normals_of(after)
    assert {after.dims[name].dtype for name in NORMALS} == {np.dtype(kind)}
    assert (new[:20] == old[:20]).all()
    before, off = (np.degrees(np.arccos(np.minimum(np.abs(one[20:] @ TRUE), 1))) for one in (old, new))
    assert np.median(before) > 15
    assert np.median(off) < 2
    assert off.max() < 10
    assert ((old[20:] * new[20:]).sum(axis=1) >= 0).all()
    assert np.abs(np.linalg.norm(new[20:], axis=1) - 1).max() < 1e-6
    assert not after.history[-1].warnings
    assert after.xyz.tobytes() == Spd().run(cloud).xyz.tobytes()


def test_points_that_are_held_keep_theirs() -> None:
    cloud = slope()
    after = Spd(normals="recompute", where="X < 400005").run(cloud)
    held = cloud.xyz[:, 0] >= 400_005
    assert (normals_of(after)[held] == normals_of(cloud)[held]).all()
    assert (normals_of(after)[~held] != normals_of(cloud)[~held]).any()


def test_what_is_said() -> None:
    cloud = slope()
    assert Spd().run(cloud).history[-1].warnings == (STALE,)
    assert Spd(strength=0).run(cloud).history[-1].warnings == ()
    none = replace(cloud, dims={})
    assert Spd().run(none).history[-1].warnings == ()
    assert Spd(normals="recompute").run(none).history[-1].warnings == (NONE,)
    # Gaussian splats have normals of 0.
    zero = cloud.with_dims(dict.fromkeys(NORMALS, np.zeros(len(cloud), np.float32)))
    assert Spd().run(zero).history[-1].warnings == ()
    after = Spd(normals="recompute").run(zero)
    assert after.history[-1].warnings == (NONE,)
    assert not normals_of(after).any()


def test_numbers_that_are_no_normals() -> None:
    cloud = slope(5)
    odd = np.array([np.nan, np.inf, 1e-30, 0, 1], np.float32)
    assert carried(cloud.with_dims(dict.fromkeys(NORMALS, odd))).tolist() == [False, False, True, False, True]
    assert not carried(cloud.with_dims({"NormalX": np.ones(5, np.uint8)})).any()


def test_the_published_network_has_none() -> None:
    (error,) = Spd(model="spd", weights="x", normals="recompute").check(())
    assert "'normals'" in error


@pytest.mark.parametrize("strips", ["merge", "apart"])
def test_tiles_leave_no_seam(strips: str) -> None:
    cloud = slope(6000).with_dims({"PointSourceId": (np.arange(6000) % 2).astype(np.uint16)})
    stage = Spd(normals="recompute", strips=strips)  # type: ignore[arg-type]
    whole = stage.run(cloud)
    boxes = tiling.cells(cloud, cloud.extent.low[:2] - 1, np.array([4.0, 12.0]))
    tiled, _, done = tiling.tiled([stage], cloud, boxes, 1.0)
    assert sum(tile.unproved for tile in done) == 0
    assert np.abs(tiled.xyz - whole.xyz).max() < 1e-6
    assert np.abs(normals_of(tiled) - normals_of(whole)).max() < 1e-4


def test_a_phones_scan(data_dir: Path) -> None:
    cloud = Ply(filename=str(data_dir / "cases" / "phone.ply")).read()
    after = Spd(normals="recompute").run(cloud)
    kept, new = normals_of(cloud), normals_of(after)
    # Against planes of the cleaned cloud, found in another way.
    from scipy.spatial import cKDTree

    near = after.xyz[cKDTree(after.xyz).query(after.xyz, 24)[1]]
    axes = np.linalg.svd(near - near.mean(axis=1, keepdims=True), full_matrices=False)[2][:, 2]
    off = [np.degrees(np.median(np.arccos(np.abs((n * axes).sum(1)).clip(0, 1)))) for n in (kept, new)]
    assert off[0] > 10
    assert off[1] < 1
    assert ((kept * new).sum(axis=1) >= 0).all()
