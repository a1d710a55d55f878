"""The pictures of the documentation, which `make pictures` draws anew where Chromium is.

The page of the sample cloud, in a real browser, as it is after what the captions tell.
"""

from __future__ import annotations

import io
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import chromium
from PIL import Image
from selenium.webdriver.support.ui import Select, WebDriverWait

from deburr.pipeline import run

ROOT = Path(__file__).parent.parent

#: Pixels of the window, and how many colours a picture has, so that none is larger than 150 kB: fewer, and those of a
#: legend are others.
_WIDE, _HIGH, _COLOURS = 1080, 820, 256


def main() -> None:
    """Clean the sample, open its page, and take each picture."""
    with TemporaryDirectory() as folder:
        house = str(ROOT / "sample_data" / "house.laz")
        run([house, "filters.spd"], report_dir=folder)
        browser = chromium.start()
        try:
            browser.set_window_size(_WIDE, _HIGH)
            chromium.show(browser, Path(folder) / "report.html")
            _take(browser, "movement")
            _colour(browser, "Classification")
            _press(browser, "2")
            _take(browser, "page")
            _colour(browser, "height")
            _press(browser, "3")
            _take(browser, "section")
            _notebook(browser)
        finally:
            browser.quit()


def _notebook(browser: Any) -> None:
    """The result in the notebook, as the built site shows it."""
    browser.get((ROOT / "build" / "docs" / "html" / "tutorials" / "python.html").as_uri())
    frame = browser.find_element("css selector", "iframe[srcdoc]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'end'})", frame)
    browser.switch_to.frame(frame)
    WebDriverWait(browser, 60).until(lambda one: one.execute_script("return document.body.dataset.ready"))
    _settle(browser)
    browser.switch_to.default_content()
    _save(browser, "notebook")


def _press(browser: Any, key: str) -> None:
    browser.find_element("tag name", "body").send_keys(key)


def _colour(browser: Any, way: str) -> None:
    Select(browser.find_element("id", "colour")).select_by_value(way)


def _take(browser: Any, name: str) -> None:
    _settle(browser)
    _save(browser, name)


def _settle(browser: Any) -> None:
    """Wait until no frame is due any more."""
    frames, before = "return document.getElementById('view').dataset.frames", None
    while (now := browser.execute_script(frames)) != before:
        before = now
        time.sleep(1)


def _save(browser: Any, name: str) -> None:
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    path = ROOT / "docs" / "pictures" / f"{name}.png"
    picture = picture.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    print(path, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
