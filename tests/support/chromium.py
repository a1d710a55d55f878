"""Chromium, for the tests of the page and the pictures of the documentation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
#: No sandbox for root; no GPU, WebGL by software; nothing asked of the network.
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader", "--window-size=1100,760",
)  # fmt: skip


def start() -> Any:
    """A browser without a window, driven by selenium; `quit` ends it."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for option in _OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(str(DRIVER)))


def show(browser: Any, page: Path) -> None:
    """Open ``page``, and wait until it has drawn its points or its tiles."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(page.resolve().as_uri())
    ready = "return document.body.dataset.ready || (document.getElementById('tiles') && 'yes')"
    WebDriverWait(browser, 60).until(lambda one: one.execute_script(ready))
    assert browser.execute_script(ready) == "yes", browser.find_element("tag name", "body").text
