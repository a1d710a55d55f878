"""How many points fit into memory, with those that stages add."""

from __future__ import annotations

import pytest

from deburr.filters.spd import Spd
from deburr.filters.upsample import Upsample
from deburr.tiles import memory


def test_points_that_are_added_take_memory_too() -> None:
    few = memory.points(2_000_000_000, [Spd(), Upsample(factor=4.0)])
    assert few < 0.6 * memory.points(2_000_000_000, [Spd()])
    assert memory.whole(few, [Spd(), Upsample(factor=4.0)]) == pytest.approx(2_000_000_000, abs=10_000)
