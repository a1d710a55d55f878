"""The error of points without a truth, from others that saw the same surface: on clouds whose noise is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from deburr.core.arrays import Floats
from deburr.filters._repeat import CELL_LEAST, apart, cells_of, common, flat_at, planes_at

Surface = Callable[[np.random.Generator, int], Floats]
#: Points of each of the two halves; noise is told in spacings of one.
COUNT = 40_000


def plane(random: np.random.Generator, count: int) -> Floats:
    return np.column_stack([random.uniform(0, 1, (count, 2)), np.zeros(count)])


def sheet(random: np.random.Generator, count: int) -> Floats:
    plan = random.uniform(0, 1, (count, 2))
    return np.column_stack([plan, 0.1 * np.sin(6 * plan[:, 0]) + 0.05 * plan[:, 1] ** 2])


def box(random: np.random.Generator, count: int) -> Floats:
    points = random.uniform(-0.2, 0.2, (count, 3))
    points[np.arange(count), random.integers(0, 3, count)] = random.choice([-0.2, 0.2], count)
    return points


def seen(surface: Surface, mine: float, others: float, seed: int) -> tuple[Floats, Floats]:
    """Noisy points (N, 3) and those of who judges, at standard deviations in spacings, far from the origin."""
    random = np.random.default_rng(seed)
    halves = [surface(random, COUNT) + random.normal(0, noise, (COUNT, 3)) / COUNT**0.5 for noise in (mine, others)]
    return halves[0] + [5e5, 5e6, 100], halves[1] + [5e5, 5e6, 100]


def error(one: Floats, other: Floats, bent: bool = True) -> float:
    """In spacings."""
    return float(common(planes_at(one, other[::2], other[1::2]).heights(one, bent)) * COUNT**0.5)


@pytest.mark.parametrize("surface", [plane, sheet, box])
@pytest.mark.parametrize(("mine", "others"), [(0.2, 0.2), (0.15, 0.03), (0.1, 0.2)])
def test_the_noise_is_known_within_five_percent_whatever_that_of_the_judges(
    surface: Surface, mine: float, others: float
) -> None:
    assert error(*seen(surface, mine, others, 1)) == pytest.approx(mine, rel=0.05)


def test_planes_call_a_bend_an_error_and_bent_surfaces_do_not() -> None:
    one, other = seen(sheet, 0.02, 0.02, 2)
    assert error(one, other) == pytest.approx(0.02, rel=0.05)
    assert error(one, other, bent=False) > 0.023


def test_what_was_cleaned_is_judged_where_it_was_read() -> None:
    one, other = seen(plane, 0.2, 0.2, 3)
    planes = planes_at(one, other[::2], other[1::2])
    half = one.copy()
    half[:, 2] = 100 + (one[:, 2] - 100) / 2
    slid = one + np.array([0.3, -0.2, 0]) / COUNT**0.5
    assert common(planes.heights(half)) / common(planes.heights(one)) == pytest.approx(0.5, rel=0.03)
    assert common(planes.heights(slid)) / common(planes.heights(one)) == pytest.approx(1, rel=0.03)


def test_lines_corners_and_points_off_the_surface_are_no_planes() -> None:
    random = np.random.default_rng(4)
    line = np.column_stack([random.uniform(0, 1, 600), random.normal(0, 1e-4, (600, 2))])
    assert not planes_at(line[:200], line[200:400], line[400:]).seen.any()
    ball = random.uniform(0, 1, (600, 3))
    assert planes_at(ball[:200], ball[200:400], ball[400:]).seen.mean() < 0.01
    one, other = seen(plane, 0.05, 0.05, 4)
    one[::2, 2] += 3 / COUNT**0.5  # within the radius of twelve neighbours
    assert not planes_at(one, other[::2], other[1::2]).seen[::2].any()
    beside = plane(random, 500) + np.array([1.2, 0, 0])
    ground = plane(random, 1000)
    assert not planes_at(beside, ground[::2], ground[1::2]).seen.any()


def test_who_judges_must_span_a_plane() -> None:
    few = plane(np.random.default_rng(5), 11)
    found = planes_at(few, few, few)
    assert not found.seen.any()
    assert np.isnan(common(found.heights(few)))
    assert not flat_at(few, few).any()
    assert not planes_at(few[:0], few, few).seen.any()


def test_an_offset_is_told_from_the_rest() -> None:
    one, other = seen(plane, 0.2, 0.1, 6)
    one[:, 2] += 0.5 / COUNT**0.5
    planes = planes_at(one, other[::2], other[1::2])
    cells = cells_of(planes, 0.05)
    assert cells.max() + 1 in range(380, 442)  # 20 x 20 cells, more where the square of side one cuts them
    found = apart(planes.heights(one), cells)
    assert np.median(found.offsets) * COUNT**0.5 == pytest.approx(0.5, abs=0.02)
    assert found.random * COUNT**0.5 == pytest.approx(0.2, rel=0.05)
    assert error(one, other) == pytest.approx((0.5**2 + 0.2**2) ** 0.5, rel=0.05)


def test_cells_of_few_places_have_no_offset() -> None:
    heights = np.ones((2 * CELL_LEAST - 1, 2))
    cells = np.repeat([3, 7], [CELL_LEAST, CELL_LEAST - 1])
    assert apart(heights, cells).offsets.tolist() == [1.0]
    assert apart(heights, cells).random == 0
    nothing = apart(heights[:5], cells[:5])
    assert len(nothing.offsets) == 0
    assert np.isnan(nothing.random)


def test_walls_and_ground_have_cells_of_their_own() -> None:
    random = np.random.default_rng(7)
    ground, wall = plane(random, 3000), plane(random, 3000)[:, [2, 0, 1]] + [0.5, 0, 0.3]
    points = np.concatenate((ground, wall))
    planes = planes_at(points[::3], points[1::3], points[2::3])
    cells = cells_of(planes, 10.0)
    facing = np.abs(planes.normals[planes.seen]).argmax(1)
    assert set(facing.tolist()) == {0, 2}
    assert (cells == np.where(facing == 0, 0, 1)).all()
    assert (np.take_along_axis(planes.normals, np.abs(planes.normals).argmax(1)[:, None], 1)[planes.seen] > 0).all()
