"""The page: which points it shows, that they come out of it as they went in, and that nothing in it is markup."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deburr.core.arrays import Dims, Floats
from deburr.core.cloud import PointCloud
from deburr.pipeline import run
from deburr.show.page import facts, page
from deburr.show.page.pack import Packed, pack
from deburr.show.page.scene import BOTH, GONE, NEW, chosen, of_run, of_two


def unpacked(packed: Packed, count: int) -> dict[str, Floats]:
    """What the script on the page reads: whole numbers, high bytes of all points first, scaled."""
    raw, at, found = np.frombuffer(zlib.decompress(base64.b64decode(packed.data)), np.uint8), 0, {}
    for column in packed.columns:
        steps = np.zeros(count)
        for _ in range(column["bytes"]):
            steps, at = 256 * steps + raw[at : at + count], at + count
        values = column["offset"] + column["scale"] * steps
        found[column["name"]] = np.where(steps == column["none"], np.nan, values) if "none" in column else values
    assert at == len(raw)
    return found


@pytest.fixture
def cleaned(hill: Floats) -> PointCloud:
    """A hill of 600 points, each 5 cm lower than it was read but the last hundred."""
    lower = hill - np.where(np.arange(600) < 500, 0.05, 0.0)[:, None] * [0, 0, 1]
    dims: Dims = {
        "Classification": np.arange(600, dtype=np.uint8) % 19,
        "Uncertainty": np.where(np.arange(600) % 3, np.linspace(0, 0.03, 600), np.nan).astype(np.float32),
        "GpsTime": 1e8 + np.arange(600) / 16,
        "Constant": np.ones(600),
        "Signed": np.arange(600, dtype=np.int32) - 300,
        **{name: np.arange(600, dtype=np.uint16) * 100 for name in ("Red", "Green", "Blue")},
    }
    return PointCloud(lower, dims, original=hill)


def test_points_come_out_as_they_went_in(cleaned: PointCloud) -> None:
    scene = of_run(cleaned)
    found = unpacked(pack(scene), 600)
    order = np.lexsort((found["y"], found["x"]))
    expected = np.lexsort((scene.before[:, 1], scene.before[:, 0]))
    for axis, name in enumerate("xyz"):
        # Half a step of 2^-24 of the width, which is 10 units at most.
        assert np.allclose(found[name][order], scene.before[expected, axis], rtol=0, atol=4e-7), name
        move = (scene.after - scene.before)[expected, axis]
        assert np.allclose(found[f"move {name}"][order], move, rtol=0, atol=0.05 / 60000), name
    for name in ("Classification", "Signed", "Uncertainty", "GpsTime"):
        column = cleaned.dims[name][expected].astype(float)
        step = 0 if name in ("Classification",) else np.nanmax(column) - np.nanmin(column)
        assert np.allclose(found[name][order], column, rtol=0, atol=step / 60000, equal_nan=True), name
    assert "Constant" not in found
    # 16 bits of colour: 59,900 / 257.
    assert found["red"].max() == 233


def test_what_was_removed_is_shown_as_it_was(hill: Floats) -> None:
    read = PointCloud(hill, {"Intensity": np.arange(600)})
    left = read.select(np.arange(0, 600, 2)).with_dims({"NoiseLevel": np.full(300, 0.02)})
    scene = of_run(left.with_xyz(left.xyz + 0.01), read)
    assert (scene.total, len(scene.before)) == (600, 600)
    assert (scene.state == BOTH).sum() == (scene.state == GONE).sum() == 300
    gone = scene.state == GONE
    assert np.array_equal(np.sort(scene.before[gone], axis=0), np.sort(hill[1::2], axis=0))
    assert np.array_equal(scene.before[gone], scene.after[gone])
    assert sorted(scene.dims["Intensity"][gone]) == list(range(1, 600, 2))


def test_points_without_coordinates_are_not_shown(hill: Floats) -> None:
    broken = hill.copy()
    broken[7] = np.nan
    assert len(of_run(PointCloud(broken)).before) == 599
    assert facts.of_cloud(PointCloud(broken))["headline"] == "599 points, none moved"


def test_small_things_survive() -> None:
    """Of a million points on the ground and forty on a wire above it, the wire stays nearly whole."""
    chance = np.random.default_rng(1)
    ground = np.column_stack([chance.uniform(0, 100, (1_000_000, 2)), np.zeros(1_000_000)])
    wire = np.column_stack([np.linspace(0, 100, 40), np.full(40, 50.0), np.full(40, 12.0)])
    rows = chosen(np.concatenate([ground, wire]), 20_000)
    assert len(rows) == 20_000
    assert (np.diff(rows) > 0).all()
    assert (rows >= 1_000_000).sum() >= 38
    # And no part of the ground is bare: 100 cells of 200 points or so.
    cells = np.floor(ground[rows[rows < 1_000_000], :2] / 10).astype(int)
    assert np.bincount(10 * cells[:, 0] + cells[:, 1], minlength=100).min() > 150


@pytest.mark.parametrize(
    ("place", "up"), [((0, 0, 2), "-y"), ((0, 0, -2), "z"), ((500_000, 5_400_000, 2), "z"), ((9, 0, 2), "z")]
)
def test_what_a_camera_sees_stands_upright(place: tuple[float, float, float], up: str) -> None:
    """What lies in front of the origin, on both sides of z, is in a camera's frame, whose y leads down."""
    xyz = np.random.default_rng(0).uniform(-1, 1, (500, 3)) + place
    assert of_run(PointCloud(xyz, {})).up == up


@pytest.mark.parametrize(("name", "up"), [("pcl_kinect_table.pcd", "-y"), ("stanford_bunny_scan.pts", "z")])
def test_what_is_up_in_real_clouds(data_dir: Path, name: str, up: str) -> None:
    cloud = run([str(data_dir / "data" / "real" / name)]).cloud
    assert of_run(cloud).up == up


def test_of_a_camera_the_map_is_a_plan_and_the_section_upright() -> None:
    """A floor 0.4 below a camera, 2 wide and 2 deep, and a lamp: in plan x and z, and a section with y upright."""
    random = np.random.default_rng(3)
    floor = np.column_stack([random.uniform(-1, 1, 3000), np.full(3000, 0.4), random.uniform(1, 3, 3000)])
    floor[:5] = [0, -0.4, 2.5]
    moved = np.where(floor[:, 2] < 2, 0.01, 0.0)[:, None] * [0, 1, 0]
    found = facts.of_cloud(PointCloud(floor, {}, original=floor + moved))
    assert found["up"] == "-y"
    told = found["map"]
    assert (told["columns"], told["rows"]) == (11, 11)
    # The nearer half, which moved, is the first rows.
    means = np.array(told["means"]).reshape(11, 11)
    assert means[:5] == pytest.approx(0.01)
    assert not means[6:].any()
    assert found["section"]["along"][1] == 0
    assert found["section"]["center"][1] == pytest.approx(0.405, abs=0.006)


def test_few_points_are_all_shown() -> None:
    assert chosen(np.zeros((5, 3)), 10).tolist() == [0, 1, 2, 3, 4]
    assert len(chosen(np.zeros((50, 3)), 10)) == 10


def test_two_clouds_of_the_same_points_are_paired_and_others_are_not(hill: Floats) -> None:
    before, after = PointCloud(hill), PointCloud(hill - [0, 0, 0.02])
    scene = of_two(before, after)
    assert scene.paired
    assert np.allclose(scene.after - scene.before, [0, 0, -0.02], atol=1e-9)
    mixed = PointCloud(hill[np.random.default_rng(2).permutation(600)])
    for other in (mixed, PointCloud(hill[:400])):
        scene = of_two(before, other)
        assert not scene.paired
        assert (scene.state == GONE).sum() == 600
        assert (scene.state == NEW).sum() == len(other)
    assert of_two(before).paired


def test_how_far_points_moved_and_where(cleaned: PointCloud) -> None:
    found = facts.of_cloud(cleaned)
    assert found["moved"]["still"] == 100
    assert sum(found["moved"]["counts"]) + found["moved"]["further"] == 500
    assert found["moved"]["words"] == "median 0.05 units, 95 % below 0.05 units, at most 0.05 units"
    told = found["map"]
    assert len(told["means"]) == told["rows"] * told["columns"]
    # Five of six points moved 5 cm: in no cell more on average, in the fullest no less than in all.
    assert 0.25 / 6 < max(value for value in told["means"] if value is not None) <= 0.05


class Tags(HTMLParser):
    """The elements of a page, and the text of its script elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "script" and data.strip():
            self.scripts.append(data)


@pytest.mark.parametrize(
    "nasty", ["</script><img src=x onerror=alert(1)>", "<!--<script>", "\u2028]]>&amp;", "\x1b[2J", "\ud800"]
)
def test_nothing_that_comes_from_files_is_markup(nasty: str, cleaned: PointCloud) -> None:
    scene = of_run(cleaned.with_dims({nasty: np.arange(600.0)}))
    told = {"headline": nasty, "warnings": [nasty], "spec": nasty,
            "stages": [{"name": nasty, "lines": [[nasty, nasty]], "warnings": []}]}  # fmt: skip
    text = page.html(nasty, scene, told)
    text.encode()
    found = Tags(text)
    assert found.tags == ["html", "head", "meta", "meta", "meta", "title", "style", "body", "script", "script"]
    given = json.loads(found.scripts[0])
    assert given["title"] == nasty
    assert given["facts"] == told
    assert nasty in [column["name"] for column in given["scene"]["columns"]]


def test_a_page_asks_nothing_of_the_network(cleaned: PointCloud) -> None:
    text = page.html("a", of_run(cleaned), facts.of_cloud(cleaned))
    assert "default-src 'none'" in text
    # One address, which is a name only: that of SVG.
    assert set(re.findall(r"https?://[^'\"\s]*", text)) == {"http://www.w3.org/2000/svg"}


def test_a_page_of_fifty_thousand_points_is_about_a_megabyte() -> None:
    chance = np.random.default_rng(3)
    xyz = np.column_stack([chance.uniform(0, 100, (50_000, 2)), chance.normal(0, 0.05, 50_000)])
    cloud = PointCloud(
        xyz + chance.normal(0, 0.02, xyz.shape), {"Classification": np.ones(50_000, np.uint8)}, original=xyz
    )
    assert len(page.html("a", of_run(cloud), {})) < 1_300_000
