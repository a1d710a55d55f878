"""The simulated scans: where beams end, and what the truth of each point is."""

from __future__ import annotations

import numpy as np
import pytest
from noise import KINDS
from scanners import airborne, mobile, terrestrial
from scenes import SCENES, scenes
from simulator import SURFACE, THIN, VEGETATION, Scan, World, scan, stratify


def small(seed: int = 5, returns: int = 2) -> Scan:
    """A box of 6 x 6 x 4 m on level ground, a bar and a bush, seen from above."""
    rng = np.random.default_rng(seed)
    world = World()
    world.ground(np.zeros((5, 5)), (-20, -20), 10)
    world.box(np.zeros(3), np.array([6.0, 6, 4]))
    world.bar(np.linspace((-12, -12, 6), (-12, 12, 6), 5), 0.3, THIN)
    world.leaves(np.array([12.0, 12, 2]), np.array([2.0, 2, 2]), 2000, 0.1, rng)
    return scan("small", world, airborne(36, 200, 0.4, 0.3, 20, rng), 0.03, seed, returns=returns)


@pytest.mark.usefixtures("o3d")
def test_beams_end_on_what_stands_there() -> None:
    found = small()
    x, y, z = found.clean.T
    roof = (np.abs(x) < 2.9) & (np.abs(y) < 2.9)
    assert z[roof] == pytest.approx(4)
    assert (z[found.stratum["vegetation"]] > 0).all()
    assert (np.hypot(x + 12, z - 6)[found.stratum["thin"]] < 0.3001).all()
    ground = (np.abs(found.clean[:, :2]) > 4).all(1) & (x * y < 0) & ~found.stratum["thin"]
    assert np.abs(z[ground]).max() < 1e-9
    assert np.linalg.norm(found.beam, axis=1) == pytest.approx(1)
    assert (found.beam[:, 2] < -0.9).all()


@pytest.mark.usefixtures("o3d")
def test_strata_share_out_all_points_and_their_truth_is_exact() -> None:
    found = small()
    assert (np.sum(list(found.stratum.values()), axis=0) == 1).all()
    for name, errors in found.errors(found.clean).items():
        assert len(errors) > 10
        assert errors.max() < 1e-6, name
    lifted = found.errors(found.clean + np.array([0, 0, 0.1]))
    assert np.median(lifted["plane"]) == pytest.approx(0.1)
    assert lifted["vegetation"] == pytest.approx(0.1)
    x, y = np.abs(found.clean[:, :2]).T
    assert found.stratum["plane"][(x < 2) & (y < 2)].all()
    z = found.clean[:, 2]
    wall = (np.maximum(x, y) < 3.001) & (z > 0.1) & (z < 3.9)
    assert wall.sum() > 10
    # Few beams reach a wall from above, so all neighbourhoods there take in the ground or the roof.
    assert found.stratum["edge"][wall].mean() > 0.8


@pytest.mark.usefixtures("o3d")
def test_the_same_seed_gives_the_same_scan_and_noise() -> None:
    one, two = small(), small()
    assert one.clean.tobytes() == two.clean.tobytes()
    assert one.noisy().tobytes() == two.noisy().tobytes()
    assert (one.noisy() - one.clean).std() == pytest.approx(0.03, rel=0.03)


@pytest.mark.usefixtures("o3d")
def test_leaves_let_beams_through_only_with_more_returns() -> None:
    assert len(small(returns=1).clean) < len(small(returns=3).clean)


def test_an_edge_lies_where_two_planes_meet() -> None:
    x, y = (a.ravel() for a in np.meshgrid(np.arange(20.0), np.arange(20.0)))
    points = np.concatenate((np.stack((x, y, 0 * x), 1), np.stack((0 * x - 0.5, y, x + 0.5), 1)))
    normals = np.repeat([(0.0, 0, 1), (1.0, 0, 0)], 400, axis=0)
    strata = stratify(points, normals, np.full(800, SURFACE))
    assert strata["edge"][points[:, 0] == 0].all()
    assert strata["plane"][(points[:, 0] > 5) | (points[:, 2] > 5)].all()
    kinds = np.where(np.arange(800) < 400, SURFACE, VEGETATION)
    assert stratify(points, normals, kinds)["plane"].sum() == 400


def test_scanners_send_unit_patterns() -> None:
    rng = np.random.default_rng(0)
    place = np.array([1.0, 2, 3])
    origin, along = terrestrial(place, 5, -30, 31, rng)
    assert (origin == place).all()
    assert len(along) == 72 * 13
    assert np.arcsin(along[:, 2]).max() == pytest.approx(np.radians(30))
    origin, along = mobile(np.zeros(3), np.array([10.0, 0, 0]), 2, 16, 90, 0, rng)
    assert origin[-1, 0] == pytest.approx(10, abs=0.1)
    assert len(np.unique(along[:, 2].round(6))) == 16


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_noise_have_equal_variance(kind: str) -> None:
    rng = np.random.default_rng(7)
    beam = rng.normal(size=(60_000, 3))
    beam /= np.linalg.norm(beam, axis=1, keepdims=True)
    drawn = KINDS[kind](rng, beam)
    assert (drawn**2).sum(1).mean() == pytest.approx(3, rel=0.03)
    if kind == "along the beam":
        assert np.abs(np.cross(drawn, beam)).max() < 1e-12


@pytest.mark.slow
@pytest.mark.usefixtures("o3d")
def test_the_scenes_span_what_they_promise() -> None:
    found = list(scenes())
    assert len(found) == len(SCENES) >= 5
    spacings, levels = [s.spacing for s in found], [s.noise for s in found]
    assert 0.04 < min(spacings) < 0.06
    assert 0.35 < max(spacings) < 0.45
    assert (min(levels), max(levels)) == (0.01, 0.05)
    for one in found:
        assert min(one.stratum["plane"].sum(), one.stratum["edge"].sum(), one.stratum["thin"].sum()) > 200, one.name
