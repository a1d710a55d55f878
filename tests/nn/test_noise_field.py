"""The noise level between judges: their average by the odds, and caution where these are low."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch

from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.noise_network import field
from deburr.nn.deburr.planes import Graph, build_graph
from deburr.nn.deburr.thinned import Thinned, look

COUNT = 6000


@pytest.fixture(scope="module")
def seen() -> tuple[Graph, Thinned]:
    rng = np.random.default_rng(3)
    points = np.column_stack((rng.uniform(0, np.sqrt(COUNT), (COUNT, 2)), rng.normal(0, 0.1, COUNT)))
    graph = build_graph(points)
    return graph, look(graph, points, len(points))


def told(seen: tuple[Graph, Thinned], level: object, odds: object, cloud: float, evidence: float = 1.0) -> np.ndarray:
    graph, thinned = seen
    levels, likely = (torch.as_tensor(v, dtype=torch.float64).expand(len(thinned.rows)) for v in (level, odds))
    found: np.ndarray = field(graph, thinned, levels, likely, log(cloud), evidence, Blocks(COUNT))[0].exp().numpy()
    return found


def test_where_all_say_the_same_so_does_the_field(seen: tuple[Graph, Thinned]) -> None:
    levels = told(seen, log(0.3), 2.0, 0.3)
    assert np.isfinite(levels).mean() > 0.99
    assert levels[np.isfinite(levels)] == pytest.approx(0.3)


def test_who_is_sure_is_believed_and_who_is_not_is_led_by_the_cloud(seen: tuple[Graph, Thinned]) -> None:
    """Hand-computed, on logarithms: a lower level of the cloud weighs 0.2 where the own one weighs its odds, a higher
    one 0.05."""
    high, low = log(5.0), log(0.02)
    assert np.nanmedian(told(seen, high, 6.0, 0.1)) == pytest.approx(5.0, rel=0.02)
    assert np.nanmedian(told(seen, low, 6.0, 0.1)) == pytest.approx(0.02, rel=0.02)
    assert np.nanmedian(told(seen, high, 0.0, 0.1)) == pytest.approx(5.0 ** (1 / 1.2) * 0.1 ** (0.2 / 1.2), rel=1e-6)
    assert np.nanmedian(told(seen, low, 0.0, 0.1)) == pytest.approx(0.02 ** (1 / 1.05) * 0.1 ** (0.05 / 1.05), rel=1e-6)
    for level in (high, low):
        assert np.nanmedian(told(seen, level, -6.0, 0.1)) == pytest.approx(0.1, rel=0.09)


def test_where_guesses_are_seldom_right_the_clouds_level_is_lower_and_leads_more(seen: tuple[Graph, Thinned]) -> None:
    """Hand-computed: 0.03 of the judges are right, a fifth of what is trusted; so the cloud's level is a fifth, and
    weighs five times 0.2. From 0.15 on it is trusted in full."""
    high = log(5.0)
    assert np.nanmedian(told(seen, high, 0.0, 0.1, 0.03)) == pytest.approx((5.0 * 0.02) ** 0.5, rel=1e-6)
    assert np.nanmedian(told(seen, high, 6.0, 0.1, 0.03)) == pytest.approx(5.0, rel=0.02)
    half, whole = (told(seen, high, 0.0, 0.1, evidence) for evidence in (0.15, 1.0))
    assert np.array_equal(half, whole, equal_nan=True)
    # However little there is: to the third part, since the caution has an end.
    low = np.nanmedian(told(seen, high, 0.0, 0.1, 0.0))
    assert low == pytest.approx(5.0 ** (1 / 3) * (1e-7 / 0.15) ** (2 / 3), rel=1e-6)


def test_the_sure_outweigh_the_doubtful_beside_them(seen: tuple[Graph, Thinned]) -> None:
    thinned = seen[1]
    odd = torch.arange(len(thinned.rows)) % 2 == 0
    level, odds = torch.where(odd, log(0.1), log(0.4)).double(), torch.where(odd, 5.0, -2.0).double()
    levels = told(seen, level, odds, 0.1)
    assert np.nanmedian(levels) == pytest.approx(0.1, rel=0.02)
    # Four hops reach no further than a few spacings: there, one kind may be alone.
    assert np.nanmax(levels) > 0.1
