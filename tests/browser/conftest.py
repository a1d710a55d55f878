"""A real browser, for the tests in this folder. `make test-browser` brings it; without it they are left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromium
import pytest

ABSENT = (chromium.BROWSER is None or chromium.DRIVER is None) and os.environ.get("DEBURR_REQUIRE_BROWSER", "") != "1"
collect_ignore_glob = ["test_*.py"] if ABSENT else []

#: Opens a page, and waits until it is ready.
Open = Callable[[Path], Any]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say that nothing of this folder was run, if so."""
    if ABSENT:
        terminalreporter.write_line("tests/browser: left out, there is no Chromium here; 'make test-browser' brings it")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, driven by selenium."""
    driver = chromium.start()
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Any) -> Open:
    """`opened(page)`: the browser, when the page has drawn its points or its tiles."""

    def opened(page: Path) -> Any:
        browser.get_log("browser")
        chromium.show(browser, page)
        return browser

    return opened
