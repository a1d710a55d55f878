"""A real browser, for the tests in this folder. `make test-browser` brings it; without it they are left out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ABSENT = (BROWSER is None or DRIVER is None) and os.environ.get("DEBURR_REQUIRE_BROWSER", "") != "1"
collect_ignore_glob = ["test_*.py"] if ABSENT else []

#: Opens a page, and waits until it is ready.
Open = Callable[[Path], Any]
#: No sandbox for root; no GPU, WebGL by software; nothing asked of the network.
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader", "--window-size=1100,760",
)  # fmt: skip


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say that nothing of this folder was run, if so."""
    if ABSENT:
        terminalreporter.write_line("tests/browser: left out, there is no Chromium here; 'make test-browser' brings it")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, driven by selenium."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for option in _OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Any) -> Open:
    """`opened(page)`: the browser, when the page has drawn its points or its tiles."""
    from selenium.webdriver.support.ui import WebDriverWait

    def opened(page: Path) -> Any:
        browser.get_log("browser")
        browser.get(page.resolve().as_uri())
        ready = "return document.body.dataset.ready || (document.getElementById('tiles') && 'yes')"
        WebDriverWait(browser, 60).until(lambda one: one.execute_script(ready))
        assert browser.execute_script(ready) == "yes", browser.find_element("tag name", "body").text
        return browser

    return opened
