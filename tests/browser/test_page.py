"""The page in a real browser: what its controls do is seen in what is drawn."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from deburr.batch import batch
from deburr.core.arrays import Dims
from deburr.core.cloud import PointCloud
from deburr.pipeline import run
from deburr.pipeline.view import view
from deburr.show.page import facts, page
from deburr.show.page.scene import of_run
from deburr.writers.las import LasWriter as Writer

Open = Callable[[Path], Any]
METRES = 'LOCAL_CS["site",UNIT["metre",1]]'
#: A share of the pixels that is more than a few points.
SEEN = 0.002


def scan(count: int = 8000) -> PointCloud:
    """A roof of 10 m by 10 m with 5 cm of noise, half of it ground and half of it building; in metres."""
    random = np.random.default_rng(4)
    plan = random.uniform(0, 10, (count, 2))
    z = 3 - np.abs(plan[:, 0] - 5) + random.normal(0, 0.05, count)
    dims: Dims = {
        "Classification": np.where(plan[:, 1] < 5, 2, 6).astype(np.uint8),
        "Intensity": (plan[:, 0] * 1000).astype(np.uint16),
    }
    return PointCloud(np.column_stack([plan[:, 0] + 500_000, plan[:, 1] + 5_400_000, z + 100]), dims, crs=METRES)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that a run leaves."""
    folder = tmp_path_factory.mktemp("report")
    Writer(filename=str(folder / "roof.laz")).write(scan())
    run([str(folder / "roof.laz"), {"type": "filters.spd", "dimensions": ["Uncertainty"]}], report_dir=folder)
    return folder / "report.html"


def seen(driver: Any) -> Any:
    """(H, W, 3): the view as it is, when no frame is due any more."""
    wait = "return [document.getElementById('view').dataset.frames, document.querySelector('#view').width]"
    before = None
    while (now := driver.execute_script(wait)) != before:
        before = now
        time.sleep(0.4)
    return imread(io.BytesIO(driver.find_element("id", "view").screenshot_as_png))[:, :, :3]


def differing(one: Any, other: Any) -> float:
    """The share of pixels that are not alike."""
    return float((np.abs(one - other).max(axis=2) > 0.1).mean())


def press(driver: Any, key: str) -> Any:
    driver.find_element("tag name", "body").send_keys(key)
    return seen(driver)


def points_alone(driver: Any) -> None:
    """Hide the text over the view."""
    hide = "for (const it of document.querySelectorAll('#foot, #legend, .scale')) it.style.visibility = 'hidden'"
    driver.execute_script(hide)


def drawn(picture: Any) -> Any:
    """(H, W) bool: pixels that are not ground, which is what most of the rim is."""
    ground = np.median(picture[:8].reshape(-1, 3), axis=0)
    return np.abs(picture - ground).max(axis=2) > 0.15


def test_before_differs_from_after(opened: Open, report: Path) -> None:
    driver = opened(report)
    after = seen(driver)
    assert 0.02 < drawn(after).mean() < 0.9
    before = press(driver, " ")
    assert driver.find_element("id", "stage").get_attribute("data-shows") == "before"
    assert differing(before, after) > SEEN
    assert differing(press(driver, " "), after) < SEEN / 10
    assert not [line for line in driver.get_log("browser") if line["level"] == "SEVERE"]


def test_a_section_is_thinner_after(opened: Open, report: Path) -> None:
    """Seen from its side, a roof is a line; before, it is as thick as its noise."""
    driver = opened(report)
    sides = [press(driver, "3"), press(driver, " ")]
    after, before = (drawn(one)[60:-60].sum() for one in sides)
    assert after < 0.85 * before
    assert driver.find_element("id", "slab").is_displayed()
    driver.find_element("id", "leave").click()
    assert drawn(seen(driver)).sum() > drawn(sides[0]).sum()


def test_wiper_and_slider(opened: Open, report: Path) -> None:
    driver = opened(report)
    press(driver, "t")
    after, before = seen(driver), press(driver, " ")
    both = press(driver, "2")
    middle = both.shape[1] // 2
    assert differing(both[:, : middle - 12], before[:, : middle - 12]) < SEEN / 10
    assert differing(both[:, middle + 12 :], after[:, middle + 12 :]) < SEEN / 10
    assert differing(before, after) > SEEN
    script = "const s = document.getElementById('share'); s.value = 0.5; s.dispatchEvent(new Event('input'))"
    driver.execute_script(script)
    between = seen(driver)
    assert driver.find_element("id", "stage").get_attribute("data-shows") == "between"
    assert min(differing(between, before), differing(between, after)) > SEEN / 4


@pytest.mark.parametrize(
    ("way", "said"), [("Classification", ["2 ground", "6 building"]), ("height", ["m"]), ("Uncertainty", ["cm"])]
)
def test_colours_and_their_legend(opened: Open, report: Path, way: str, said: list[str]) -> None:
    from selenium.webdriver.support.ui import Select

    driver = opened(report)
    first = seen(driver)
    Select(driver.find_element("id", "colour")).select_by_value(way)
    assert differing(seen(driver), first) > SEEN
    legend = driver.find_element("id", "legend").text
    assert all(word in legend for word in [way, *said])


def test_a_point_that_is_clicked_tells_of_itself(opened: Open, report: Path) -> None:
    from selenium.webdriver import ActionChains

    driver = opened(report)
    press(driver, "t")
    free = -driver.find_element("id", "foot").size["height"] // 2
    ActionChains(driver).move_to_element_with_offset(driver.find_element("id", "view"), 0, free).click().perform()
    told = dict(line.split("\t") if "\t" in line else line.split(" ", 1)
                for line in driver.find_element("id", "picked").text.splitlines())  # fmt: skip
    # The middle of what is free of the view from above is the middle of the roof: its ridge, 103 m high.
    x, y, z = map(float, told["after"].split())
    assert abs(x - 500_005) < 0.5
    assert abs(y - 5_400_005) < 0.5
    assert abs(z - 103) < 0.5
    assert told["moved"].strip().endswith("cm")
    assert told["Uncertainty"].strip().endswith("cm")
    assert float(told["Intensity"].replace(",", "")) == pytest.approx(1000 * (x - 500_000), abs=150)
    # A ring stands around it, where it was clicked, and is gone with the text.
    mark, view = driver.find_element("id", "mark"), driver.find_element("id", "view").rect
    middle = mark.rect["x"] + mark.rect["width"] / 2, mark.rect["y"] + mark.rect["height"] / 2
    assert abs(middle[0] - (view["x"] + view["width"] / 2)) < 9
    assert abs(middle[1] - (view["y"] + view["height"] / 2 + free)) < 9
    press(driver, "\ue00c")
    assert not mark.is_displayed()
    assert not driver.find_element("id", "picked").is_displayed()


def test_a_small_object_is_told_in_full(opened: Open, tmp_path: Path) -> None:
    """Of 10 cm in metres a thousandth would be a hundredth of all: there are as many digits as count."""
    from selenium.webdriver import ActionChains

    place = np.random.default_rng(0).uniform(0, 0.1, (3000, 3))
    place[:, 2] = 0.0123456
    cloud = PointCloud(place, {}, original=place - np.array([0.0, 0.0, 0.0000456]))
    page.write(tmp_path / "page.html", "small", of_run(cloud), facts.of_cloud(cloud))
    driver = opened(tmp_path / "page.html")
    press(driver, "t")
    ActionChains(driver).move_to_element_with_offset(driver.find_element("id", "view"), 0, -20).click().perform()
    told = driver.find_element("id", "picked").text.splitlines()
    assert told[0].split()[-1] == "0.0123000"
    assert told[1].split()[-1] == "0.0123456"


def test_what_is_flat_is_drawn_higher(opened: Open, tmp_path: Path) -> None:
    """Ground of 100 m whose heights differ by 20 cm is a line: its section is drawn so that it is seen to be rough."""
    chance = np.random.default_rng(2)
    place = np.column_stack([chance.uniform(0, 100, (9000, 2)), chance.uniform(-0.1, 0.1, 9000)])
    cloud = PointCloud(place, {}, original=place + np.array([0.0, 0.0, 0.01]), crs=METRES)
    page.write(tmp_path / "page.html", "flat", of_run(cloud), facts.of_cloud(cloud))
    driver = opened(tmp_path / "page.html")
    points_alone(driver)
    rows = np.flatnonzero(drawn(press(driver, "3")).any(axis=1))
    said = driver.find_element("id", "slab-said").text
    assert float(said.split("\u00d7")[1]) >= 50
    assert np.ptp(rows) > 80
    script = "const s = document.getElementById('tall'); s.value = 0; s.dispatchEvent(new Event('input'))"
    driver.execute_script(script)
    assert np.ptp(np.flatnonzero(drawn(seen(driver)).any(axis=1))) < 20
    assert "\u00d7" not in driver.find_element("id", "slab-said").text


def test_on_a_narrow_screen_all_controls_are_there(opened: Open, report: Path) -> None:
    driver = opened(report)
    narrow = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    try:
        press(driver, "3")
        shown = [one for one in driver.find_elements("css selector", "#controls *") if one.is_displayed()]
        assert len(shown) > 20
        assert max(one.rect["x"] + one.rect["width"] for one in shown) <= 390
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_section_can_be_drawn(opened: Open, report: Path) -> None:
    from selenium.webdriver import ActionChains

    driver = opened(report)
    driver.find_element("id", "draw").click()
    seen(driver)
    stage = driver.find_element("id", "stage")
    ActionChains(driver).move_to_element_with_offset(stage, -150, 0).click_and_hold().move_by_offset(
        300, 0
    ).release().perform()
    assert driver.find_element("id", "slab").is_displayed()
    points_alone(driver)
    across = seen(driver)
    # Along x the roof is a gable: high in the middle, lower at both sides.
    columns = np.flatnonzero(drawn(across).any(axis=0))
    heights = [np.flatnonzero(drawn(across)[:, at]).mean() for at in (columns[5], int(np.median(columns)), columns[-5])]
    assert heights[1] < min(heights[0], heights[2]) - 20


def test_what_is_up_can_be_chosen(opened: Open, tmp_path: Path) -> None:
    """Of a camera, y leads down: its floor is below, and above where y is said to lead up."""
    random = np.random.default_rng(3)
    floor = np.column_stack([random.uniform(-1, 1, 3000), np.full(3000, 0.4), random.uniform(1.2, 3, 3000)])
    ball = random.normal([0, -0.4, 2], 0.03, (100, 3))
    cloud = PointCloud(np.concatenate([floor, ball]), {})
    page.write(tmp_path / "page.html", "camera", of_run(cloud), facts.of_cloud(cloud))
    driver = opened(tmp_path / "page.html")
    points_alone(driver)
    choice = driver.find_element("id", "up")
    assert choice.get_property("value") == "-y"

    def below() -> float:
        """The share of what is drawn in a section that lies in the lower half."""
        rows = drawn(press(driver, "3")).sum(axis=1)
        return float(rows[len(rows) // 2 :].sum() / rows.sum())

    assert below() > 0.7
    driver.execute_script("arguments[0].value = 'y'; arguments[0].dispatchEvent(new Event('change'))", choice)
    assert below() < 0.3
    press(driver, "u")
    assert choice.get_property("value") == "-y"
    assert not [line for line in driver.get_log("browser") if line["level"] == "SEVERE"]


def margins(picture: Any) -> tuple[int, int, int, int]:
    """Pixels from the rims of a view to what is drawn: left, right, above, below."""
    rows, columns = (np.flatnonzero(drawn(picture).any(axis=axis)) for axis in (1, 0))
    return columns[0], drawn(picture).shape[1] - 1 - columns[-1], rows[0], drawn(picture).shape[0] - 1 - rows[-1]


@pytest.mark.parametrize("shape", [(10, 10, 60), (60, 5, 1), (5, 60, 30)])
def test_all_is_in_view_and_fills_it(opened: Open, tmp_path: Path, shape: tuple[float, float, float]) -> None:
    """Towers, strips, walls: from aside, from above and in a section nothing is cut off or lies below the text."""
    place = np.random.default_rng(1).uniform(-0.5, 0.5, (6000, 3)) * shape
    cloud = PointCloud(place, {}, original=place + np.array([0.0, 0.0, 0.01]))
    page.write(tmp_path / "page.html", "box", of_run(cloud), facts.of_cloud(cloud))
    driver = opened(tmp_path / "page.html")
    points_alone(driver)
    foot, bar = driver.find_element("id", "foot").rect, driver.find_element("css selector", ".scale").rect
    assert foot["x"] + foot["width"] < bar["x"]
    text = foot["height"]
    for key in ("f", "t", "3"):
        left, right, above, below = margins(press(driver, key))
        assert min(left, right, above) > 2, key
        assert below > text, key
        assert min(left + right, above + below - text) < 70, key


def test_few_points_that_moved_have_colours(opened: Open, tmp_path: Path) -> None:
    cloud = scan()
    moved = np.zeros((len(cloud), 3))
    moved[:40, 2] = np.linspace(0.01, 0.04, 40)
    lifted = PointCloud(cloud.xyz + moved, {}, original=cloud.xyz, crs=METRES)
    page.write(tmp_path / "page.html", "few", of_run(lifted), facts.of_cloud(lifted))
    legend = opened(tmp_path / "page.html").find_element("id", "legend").text
    assert legend.split("\n") == ["movement", "0 cm", "4 cm"]


def test_what_stands_beside(opened: Open, report: Path) -> None:
    driver = opened(report)
    panel = driver.find_element("id", "panel").text
    assert "roof.laz" in panel
    assert "How far points moved" in panel
    assert "filters.spd" in panel
    driver.find_element("tag name", "summary").click()
    assert '"filters.spd"' in driver.find_element("tag name", "pre").text
    assert "8,000 points" in driver.find_element("id", "count").text


def test_names_of_files_are_text(opened: Open, tmp_path: Path) -> None:
    nasty = "</script><img src=x onerror=\"document.title='struck'\">\x1b[31m"
    cloud = scan(500)
    told = facts.of_cloud(cloud) | {"warnings": [nasty]}
    page.write(tmp_path / "a.html", nasty, of_run(cloud.with_dims({nasty: np.arange(500.0)})), told)
    driver = opened(tmp_path / "a.html")
    assert driver.title != "struck"
    assert not driver.find_elements("tag name", "img")
    assert "onerror" in driver.find_element("tag name", "h1").text


def test_clouds_that_are_not_the_same_points(opened: Open, tmp_path: Path) -> None:
    cloud = scan()
    names = [tmp_path / "a.laz", tmp_path / "b.laz"]
    for name, one in zip(names, (cloud, cloud.select(cloud.xyz[:, 0] < 500_005)), strict=True):
        Writer(filename=str(name)).write(one)
    view(names[0], names[1], tmp_path / "v.html")
    driver = opened(tmp_path / "v.html")
    after, before = seen(driver), press(driver, " ")
    assert drawn(after).sum() < 0.85 * drawn(before).sum()
    assert "not the same points" in driver.find_element("id", "count").text


def test_a_batch(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cloud = scan()
    for name, left in (("west", True), ("east", False)):
        part = cloud.select((cloud.xyz[:, 0] < 500_005) == left)
        Writer(filename=str(tmp_path / "in" / f"{name}.laz")).write(part)
    (tmp_path / "in" / "bad.laz").write_bytes(b"no cloud")
    batch([{"type": "filters.spd"}], [tmp_path / "in"], tmp_path / "out")
    driver = opened(tmp_path / "out" / "report.html")
    rows = driver.find_elements("css selector", "#tile-table tbody tr")
    assert sorted(row.find_element("tag name", "td").text for row in rows) == ["east.laz", "west.laz"]
    assert len(driver.find_elements("css selector", "#tile-map rect")) == 2
    assert "bad.laz" in driver.find_element("css selector", "#panel .warnings").text
    points = driver.find_element("css selector", "#tile-table thead th:nth-child(2)")
    points.click()
    order = [row.text.split()[1] for row in driver.find_elements("css selector", "#tile-table tbody tr")]
    points.click()
    turned = [row.text.split()[1] for row in driver.find_elements("css selector", "#tile-table tbody tr")]
    assert order == turned[::-1] == sorted(order)
    driver.find_element("css selector", "#tile-table tbody tr").click()
    assert "pipeline view" in driver.find_element("css selector", ".how code").text
