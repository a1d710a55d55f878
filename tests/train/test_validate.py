"""What is heard of the points of scenes that are denoised in parts, by several threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deburr.core.arrays import Floats
from deburr.core.neighbors import cloud_spacing
from deburr.nn.contract import PATCHES, Settings
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.default import Default
from deburr.nn.deburr.uncertainty import Evidence, Left
from deburr.train import validate
from deburr.train.landscapes import landscape_scene
from deburr.train.scene import NoisyScene, scaled


def _heard(size: int) -> tuple[Floats, int]:
    """The most that may be left of each point of two clouds after each other, in other units, as their numbers lead to
    it, in spacings; and in how many parts it was heard. Blocks of ``size`` points."""
    draw, listener = np.random.default_rng(4), validate._Listener()
    model, numbers = replace(Default.load(), remains=listener), []
    for unit in (1.0, 0.01):
        points = np.column_stack((draw.uniform(0, 40, (1600, 2)), draw.normal(0, 0.3, 1600))) * unit
        found = model.denoise(points, Settings(patches=replace(PATCHES["blocks"], size=size)))
        assert found.uncertainty is not None
        told, rank = np.unique(found.uncertainty, return_inverse=True)
        assert len(told) == 1600
        numbers.append(rank + 1600 * len(numbers))
    return np.concatenate([most for _, most in listener.told])[np.concatenate(numbers)], len(listener.told)


def test_numbers_lead_to_what_was_heard_of_each_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBURR_THREADS", "3")
    (whole, two), (parts, many) = _heard(2000), _heard(300)
    assert (two, many) == (2, 12)
    assert np.ptp(whole) > 0.01
    np.testing.assert_allclose(parts, whole, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("few_frozen_scenes")
def test_judged_the_same_whichever_part_is_heard_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads are heard in the order in which they come; here from the first to the last part, and the other way."""
    judged, parts = [], []
    for step in (1, -1):

        def told(remains: Left, seen: Evidence, blocks: Blocks, step: int = step) -> Floats:
            found = np.empty(len(seen.level))
            rows = [slice(first, first + 700) for first in range(0, len(found), 700)][::step]
            for some in rows:
                found[some] = remains.left(seen.part(some))
            parts.append(len(rows))
            return found

        monkeypatch.setattr("deburr.nn.deburr.default._left", told)
        rows, left = validate.judge(Default.load())
        judged.append((rows, left.layers))
    assert max(parts) > 1
    assert judged[0][0] == judged[1][0]
    for one, other in zip(*(layers for _, layers in judged), strict=True):
        for first, second in zip(one, other, strict=True):
            np.testing.assert_array_equal(first, second)


def test_what_is_left_is_told_in_the_unit_in_which_the_noise_was_heard() -> None:
    """Of a cloud and of the same ten times as large: in spacings the same is left of the same noise."""
    clean, draw = landscape_scene(2**41 + 5, largest=1500), np.random.default_rng(6)
    noise = 0.2 * cloud_spacing(clean.points)
    points = clean.points + draw.normal(0, noise, clean.points.shape)
    found = []
    for times in (1.0, 10.0):
        listener = validate._Listener()
        scene = NoisyScene(scaled(clean, times), points * times, np.full(len(points), noise * times))
        one = validate._compare(replace(Default.load(), remains=listener), scene)
        found.append((listener.told[0][1][one.left.heard], one.left.errors))
    for first, second in zip(*found, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-6)
    most, left = found[0]
    # Most points are on surfaces, where a part of the noise is left.
    assert 0.05 < np.median(left / most) < 0.5
