"""The site that was built: its links lead somewhere, it needs no network, and no picture is large."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import doc_pages
import pytest

from deburr.core.registry import _own

SITE = doc_pages.ROOT / "build" / "docs" / "html"


class Page(HTMLParser):
    """The anchors of a page, where its links lead, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.anchors, self.links, self.loads = path, set[str](), set[str](), set[str]()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.anchors |= {value for name, value in found.items() if name in ("id", "name")}
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        elif "src" in found:
            self.loads.add(found["src"])
        elif tag == "link" and "stylesheet" in found.get("rel", ""):
            self.loads.add(found["href"])


@pytest.fixture(scope="module")
def site() -> dict[Path, Page]:
    """Every page by its path."""
    return {path.resolve(): Page(path) for path in SITE.rglob("*.html") if "_static" not in path.parts}


def broken(site: dict[Path, Page], page: Page) -> Iterator[str]:
    """Links of a page that lead nowhere in the site."""
    for link in page.links | page.loads:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or link.startswith("data:"):
            continue
        target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path.resolve()
        at = unquote(parts.fragment)
        if not target.is_file() or (at and target in site and at not in site[target].anchors):
            yield f"{page.path}: {link}"


def test_links_lead_somewhere(site: dict[Path, Page]) -> None:
    assert len(site) > 50
    assert [link for page in site.values() for link in broken(site, page)] == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    links = "".join(f'<a href="{link}">x</a>' for link in ("b.html", "#there", "#here", "a.html#here", "a.html#gone"))
    (tmp_path / "a.html").write_text(f'{links}<i id="here"></i>')
    page = Page(tmp_path / "a.html")
    found = {link.partition(": ")[2] for link in broken({page.path.resolve(): page}, page)}
    assert found == {"b.html", "#there", "a.html#gone"}


def test_pictures_lead_to_themselves(site: dict[Path, Page]) -> None:
    """In a page, and more so on a phone, they are too small for their words."""
    for page in site.values():
        shown = {load for load in page.loads if load.startswith(("_images/", "../_images/"))}
        assert shown <= page.links, page.path
    assert "../_images/movement.png" in site[(SITE / "explanation" / "forest.html").resolve()].links


def test_nothing_is_loaded_from_elsewhere(site: dict[Path, Page]) -> None:
    loaded = {load for page in site.values() for load in page.loads if urlsplit(load).netloc}
    assert loaded == set()


def test_every_page_of_ours_is_there() -> None:
    for page in doc_pages.pages()[1:]:
        assert (SITE / doc_pages.name(page)).with_suffix(".html").is_file(), page
    for name in _own():
        assert (SITE / "reference" / "stages" / f"{name}.html").is_file()
    assert "<iframe srcdoc=" in (SITE / "tutorials" / "python.html").read_text(encoding="utf-8")


def test_no_place_of_a_machine_is_named() -> None:
    """Neither folders of who built it nor an index of packages."""
    for path in SITE.rglob("*.html"):
        text = re.sub(r'srcdoc="[^"]*"', "", path.read_text(encoding="utf-8"))
        for word in (str(doc_pages.ROOT), str(Path.home()) + "/", "/usr/", "/tmp/"):
            assert word not in text, f"{path.relative_to(SITE)}: {word}"
