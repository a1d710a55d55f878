"""What a run says at its end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.show.words import change, headline, length, lines, span


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.03961, "m", "3.96 cm"),
        (1.5, "m", "1.5 m"),
        (0.0396, "ft", "0.0396 ft"),
        (0.0, "m", "0 cm"),
        (2.0, "m", "2 m"),
    ],
)
def test_lengths(value: float, unit: str, text: str) -> None:
    assert length(value, unit) == text


def test_changes() -> None:
    assert change(0.04, 0.01, "m") == "4 cm -> 1 cm (-75 %)"
    assert change(0.0, 0.01, "m") == "0 cm -> 1 cm"
    assert change(0.04, 0.04, "m") == "4 cm"


def _metrics(**more: Any) -> dict[str, Any]:
    return {
        "points": 1234,
        "as_read": {"residual_rms": 0.04, "chamfer": 2.0, "own_rms": 0.07, "to_reference_rms": 0.05, **more},
        "now": {"residual_rms": 0.02, "chamfer": 1.0, "own_rms": 0.06, "to_reference_rms": 0.01, **more},
        "displacement": {"median": 0.01, "p99": 0.02, "max": 0.5},
        "units": {"long": "explanations"},
    }


def test_metrics_are_said_as_before_and_after() -> None:
    said = dict(lines({"type": "filters.metrics", "figures": {**_metrics(reference="cloud"), "classes": [2, 6]}}, "m"))
    assert said["measured"] == "1,234 points of class 2, 6"
    assert said["distance to the reference cloud, RMS"] == "5 cm -> 1 cm (-80 %)"
    assert said["distance to own true place, RMS"] == "7 cm -> 6 cm (-14 %)"
    assert said["Chamfer distance, not squared"] == "2 m -> 1 m (-50 %)"
    assert said["moved"] == "median 1 cm, 99 % below 2 cm, at most 50 cm"
    mesh = dict(lines({"type": "filters.metrics", "figures": _metrics(reference="mesh")}, "m"))
    assert mesh["distance to the true surface, RMS"] == "5 cm -> 1 cm (-80 %)"
    assert not any("Chamfer" in words for words in mesh)


def test_what_strips_and_halves_say() -> None:
    strips = {
        "by": "strips",
        "as_read": {"offset": 0.05, "random": 0.02},
        "now": {"offset": 0.002, "random": 0.01},
        "pairs": [],
    }
    said = lines({"type": "filters.metrics", "figures": {**_metrics(reference="cloud"), "repeatability": strips}}, "m")
    assert ("strip offset, median", "5 cm -> 0.2 cm (-96 %)") in said
    assert ("strip noise, random part", "2 cm -> 1 cm (-50 %)") in said
    halves = {"by": "halves", "as_read": {"random": 0.02}, "now": {"random": 0.02}}
    assert ("noise, by random halves", "2 cm") in lines(
        {"type": "filters.metrics", "figures": {**_metrics(reference="cloud"), "repeatability": halves}}, "m"
    )


def test_too_few_points_to_measure_are_no_line() -> None:
    nothing = {"residual_rms": None, "spacing_median": None}
    figures = {"points": 1, "as_read": nothing, "now": nothing, "displacement": {"max": None}}
    assert lines({"type": "filters.metrics", "figures": figures}, "m") == [("measured", "1 points")]


def test_other_figures_are_listed_with_their_units() -> None:
    figures = {"noise": 0.04, "noise_source": "estimated", "left": None, "steps": 2, "sub": {"yes": True}, "units": "m",
               "spacing": 1.5, "max_displacement": 0.1, "displacement_max": 0.05}  # fmt: skip
    said = [("noise", "4 cm"), ("noise source", "estimated"), ("steps", "2"), ("sub yes", "yes"),
            ("spacing", "1.5 m"), ("limit of movement", "10 cm")]  # fmt: skip
    assert lines({"type": "filters.spd", "figures": figures}, "m") == said


@pytest.mark.parametrize(
    ("low", "high", "unit", "said"),
    [
        (0.021, 0.06, "m", "2.1 to 6 cm"),
        (0.5, 1.5, "m", "50 cm to 1.5 m"),
        (0.021, 0.06, "US ft", "0.021 to 0.06 US ft"),
    ],
)
def test_spans(low: float, high: float, unit: str, said: str) -> None:
    assert span(low, high, unit) == said


def test_the_noise_is_told_with_its_spread_in_one_line() -> None:
    figures = {"noise": 0.039, "noise_median": 0.04, "noise_p05": 0.021, "noise_p95": 0.06, "evidence": 0.826}
    said = [("noise", "3.9 cm (5-95 %: 2.1 to 6 cm)"), ("evidence", "83 % of the points")]
    assert lines({"type": "filters.spd", "figures": figures}, "m") == said
    same = {"noise": 0.039, "noise_median": 0.039, "noise_p05": 0.039, "noise_p95": 0.0392}
    assert lines({"type": "filters.spd", "figures": same}, "m") == [("noise", "3.9 cm")]


def test_headline() -> None:
    cloud = PointCloud(np.zeros((4, 3)))
    assert headline(cloud, "m") == "4 points, none moved"
    moved = cloud.with_xyz(np.array([[0, 0, 0.1], [0, 0, 0.1], [0, 0, 0], [0, 0, 0.1]]))
    assert headline(moved, "m") == "3 of 4 points moved: median 10 cm, 99 % below 10 cm"
    measured = moved.note("filters.metrics", _metrics(reference="mesh"))
    assert headline(measured, "m") == "Distance to own true place, RMS: 7 cm -> 6 cm (-14 %)"


def test_what_coordinates_are_made_of_is_told_to_the_last_digit() -> None:
    figures = {"scale": [0.001, 1e-7, 6.985861652699568e-09], "offset": [500_000.0, 5_612_345.25, -0.0], "share": -0.0}
    assert lines({"type": "writers.las", "figures": figures}, "m") == [
        ("scale", "0.001, 1e-07, 6.98586165269957e-09"),
        ("offset", "500,000, 5,612,345.25, 0"),
        ("share", "0"),
    ]
