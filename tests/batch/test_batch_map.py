"""The map of a batch: where tiles are drawn, in which colours, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from deburr.batch import map as batch_map
from deburr.show.picture import BEFORE

Draw = Callable[..., Any]


def tiles(
    columns: int, rows: int, size: float = 500, corner: tuple[float, float] = (84000, 447000)
) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{column}_{row}",
            "box": [
                corner[0] + column * size,
                corner[1] + row * size,
                corner[0] + (column + 1) * size,
                corner[1] + (row + 1) * size,
            ],
            "points": 100,
            "noise_before": 0.05,
            "noise_after": 0.03 + 0.0001 * column,
            "displacement_rms": 0.04,
            "displacement_max": 0.1,
            "error": None,
        }
        for column in range(columns)
        for row in range(rows)
    ]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Draw:
    """Draws, and gives the figure that was saved."""
    kept: list[Any] = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda self, *args, **kw: (kept.append(self), save(self, *args, **kw))
    )

    def draw(records: list[dict[str, Any]], unit: str = "m") -> Any:
        batch_map.draw(records, tmp_path / "map.png", unit)
        assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
        return kept[-1]

    return draw


def _shapes(figure: Any) -> list[Any]:
    return [each for each in figure.axes[0].collections if isinstance(each, PolyCollection) and each.get_paths()]


def _legend(figure: Any) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_tiles_lie_where_they_are_and_are_coloured_by_the_noise_removed(drawn: Draw) -> None:
    figure = drawn(tiles(4, 3))
    (shapes,) = _shapes(figure)
    axis = figure.axes[0]
    assert axis.get_aspect() == 1.0
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x (m)", "y - 440,000 (m)")
    np.testing.assert_allclose(
        np.asarray(shapes.get_paths()[0].vertices)[:4],
        np.array([[84e3, 7e3], [84500, 7e3], [84500, 7500], [84e3, 7500]]),
    )
    # Centimetres: the root of 5 squared less 3 squared, at most.
    assert shapes.get_array().max() == pytest.approx(4.0)
    assert shapes.get_array().min() == pytest.approx((25 - 3.03**2) ** 0.5)
    assert figure.axes[1].get_ylabel() == "noise removed (cm)"
    assert figure._suptitle.get_text().startswith("1,200 points in 12 tiles: noise 5 cm -> 3.02 cm")
    assert _legend(figure) == []


def test_failed_worse_and_unmeasured_tiles_are_told_apart(drawn: Draw) -> None:
    records = tiles(5, 4)
    for number in (0, 1, 2, 3, 4, 7):
        records[number] |= {"error": "broken", "noise_before": None}
    records[9] |= {"noise_after": 0.06}
    records[10] |= {"noise_before": None}
    records[11] |= {"noise_after": None}
    figure = drawn(records)
    unknown, worse, better, failed = _shapes(figure)
    assert [len(each.get_paths()) for each in (unknown, worse, better, failed)] == [2, 1, 11, 6]
    assert (failed.get_hatch(), to_hex(failed.get_edgecolor()[0])) == ("////", BEFORE)
    colors = {to_hex(each.get_facecolor()[0]) for each in (unknown, worse, failed)}
    assert len(colors) == 3
    assert _legend(figure) == [
        "failed: 0_0, 0_1, 0_2, 0_3 and 2 more",
        "more noise than before: 1",
        "noise not measured: 2",
    ]
    assert figure._suptitle.get_text().endswith("6 tiles failed")


def test_many_tiles_have_thin_edges(drawn: Draw) -> None:
    few, many = (_shapes(drawn(tiles(n, n)))[0].get_linewidth()[0] for n in (3, 100))
    assert few == 1.0
    assert many < 0.25


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (300, 1), (1, 300), (30, 2)])
def test_any_shape_fits_in_a_sensible_picture(drawn: Draw, columns: int, rows: int) -> None:
    records = tiles(columns, rows)
    figure = drawn(records)
    wide, tall = figure.get_size_inches()
    assert min(wide, tall) >= 3
    assert max(wide, tall) <= 16
    axis = figure.axes[0]
    vertices = np.concatenate([path.vertices for path in _shapes(figure)[0].get_paths()])
    for limits, places in ((axis.get_xlim(), vertices[:, 0]), (axis.get_ylim(), vertices[:, 1])):
        assert limits[0] <= places.min()
        assert places.max() <= limits[1]


def test_small_clouds_far_away_keep_their_digits(drawn: Draw) -> None:
    figure = drawn(tiles(2, 2, size=0.25, corner=(484649.5, 6632629.75)))
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x - 484,649 (m)", "y - 6,632,629 (m)")
    np.testing.assert_allclose(_shapes(figure)[0].get_paths()[0].vertices[0], [0.5, 0.75], atol=1e-9)
    figure = drawn(tiles(2, 2, size=0.25, corner=(-484649.5, -0.25)))
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("x + 484,650 (m)", "y (m)")


def test_other_units_stay_as_they_are(drawn: Draw) -> None:
    figure = drawn(tiles(2, 2), unit="US ft")
    assert figure.axes[1].get_ylabel() == "noise removed (US ft)"
    assert _shapes(figure)[0].get_array().max() == pytest.approx(0.04)


def test_a_few_odd_tiles_do_not_fade_the_others(drawn: Draw) -> None:
    records = tiles(20, 20)
    records[7] |= {"noise_before": 5.0}
    assert _shapes(drawn(records))[0].get_clim()[1] < 20


@pytest.mark.parametrize(
    "records",
    [
        [],
        [{"id": "a", "error": "no box"}],
        [tile | {"error": "x"} for tile in tiles(2, 1)],
        [tile | {"noise_after": None} for tile in tiles(2, 1)],
        [tile | {"noise_after": 0.05} for tile in tiles(2, 1)],
        [tiles(1, 1)[0] | {"box": [5.0, 5.0, 5.0, 5.0]}],
        [tiles(1, 1)[0] | {"box": [5.0, 5.0, 6.0, 5.0]}],
    ],
)
def test_odd_batches_are_drawn_too(drawn: Draw, records: list[dict[str, Any]]) -> None:
    with np.errstate(all="raise"):
        drawn(records)
