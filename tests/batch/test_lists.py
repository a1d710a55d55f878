"""Lists of point clouds, here and at addresses: what of STAC is followed, which asset is taken, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import web as sites

from deburr.batch import lists
from deburr.batch.inputs import expand
from deburr.core.addresses import Address
from deburr.core.errors import ReadError, SpecError

ITEM = {"type": "Feature", "stac_version": "1.0.0"}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[sites.Site]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with sites.served() as found:
        yield found


def put(site: sites.Site, **documents: Any) -> None:
    site.files |= {name.replace("__", "/") + ".json": json.dumps(one).encode() for name, one in documents.items()}


def links(rel: str, *hrefs: str) -> dict[str, Any]:
    return {"links": [{"rel": "self", "href": "https://elsewhere/x.json"}, *({"rel": rel, "href": h} for h in hrefs)]}


def item(*hrefs: str, box: list[Any] | None = None) -> dict[str, Any]:
    assets = {f"a{number}": {"href": href} for number, href in enumerate(hrefs)}
    return {**ITEM, "assets": assets, "properties": {} if box is None else {"proj:bbox": box}}


def test_a_catalogue_is_followed_to_its_items(site: sites.Site) -> None:
    put(
        site,
        catalog={"type": "Catalog", **links("child", "./west/collection.json", "east/collection.json")},
        west__collection={"type": "Collection", **links("item", "a.json", "../items/b.json")},
        # Which leads back: nothing is walked twice.
        east__collection={"type": "Collection", "links": [{"rel": "child", "href": "../catalog.json"},
                                                          {"rel": "item", "href": f"{site.address}/items/c.json?x=1"}]},
        west__a=item("../data/a%20b.copc.laz"),
        items__b=item("https://other.example.org/b.laz?sig=geheim"),
        items__c=item("/c d.las"),
    )  # fmt: skip
    found = lists.read(Address(site.url("u:p@", "?sig=secret", "catalog.json")))
    login = site.address.replace("://", "://u:p@")
    assert [one.full for one in found if isinstance(one, Address)] == [
        f"{login}/data/a%20b.copc.laz",
        "https://other.example.org/b.laz?sig=geheim",
        f"{site.address}/c%20d.las",
    ]
    assert [str(one) for one in found][1] == "https://other.example.org/b.laz"
    assert "geheim" not in repr(found)
    assert [one.name for one in found] == ["a%20b.copc.laz", "b.laz", "c%20d.las"]


def test_pages_of_items_follow_each_other(site: sites.Site) -> None:
    put(
        site,
        one={"type": "FeatureCollection", "features": [item("1.laz"), item("2.laz")], **links("next", "two.json")},
        two={"type": "FeatureCollection", "features": [item("3.laz")], **links("next", "one.json")},
    )
    assert [one.name for one in lists.read(Address(site.url(name="one.json")))] == ["1.laz", "2.laz", "3.laz"]


def test_a_catalogue_here(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a b.laz").touch()
    (tmp_path / "catalog.json").write_text(json.dumps({"type": "Catalog", **links("item", "./sub/item.json")}))
    (tmp_path / "sub/item.json").write_text(json.dumps(item("a%20b.laz")))
    assert expand([str(tmp_path / "catalog.json")]) == [tmp_path / "sub/a b.laz"]
    (tmp_path / "all.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [item("s3://b/a.laz")]}))
    assert [str(one) for one in expand([str(tmp_path / "all.geojson")])] == ["s3://b/a.laz"]


@pytest.mark.parametrize(
    ("assets", "taken"),
    [
        ({"meta": {"href": "a.txt"}, "laz": {"href": "a.laz"}}, "a.laz"),
        ({"laz": {"href": "a.laz"}, "copc": {"href": "a.copc.laz?sig=.laz"}}, "a.copc.laz"),
        ({"copc": {"href": "a.copc.laz"}, "data": {"href": "b.laz"}}, "b.laz"),
        ({"copc": {"href": "a.copc.laz", "roles": ["overview"]}, "x": {"href": "https://h/b.laz?a"}}, "b.laz"),
        ({"thumbnail": {"href": "a.png"}, "points": {"href": "a.e57"}}, "a.e57"),
    ],
)
def test_the_asset_of_the_points(site: sites.Site, assets: Any, taken: str) -> None:
    put(site, item={**ITEM, "assets": assets})
    (found,) = lists.read(Address(site.url(name="item.json")))
    assert found.name == taken


def test_what_is_near_the_bounds(site: sites.Site) -> None:
    boxes: list[list[Any]] = [[0, 0, 10, 10], [10, 0, -5, 20, 10, 5], [25, 0, 35, 10], [0, 31, 10, 41]]
    odd: list[list[Any]] = [[1], ["a"] * 4, [3, 3, 1, 1], [1e999] * 4]
    put(site, all={"type": "FeatureCollection", "features": [
        *(item(f"{number}.laz", box=box) for number, box in enumerate(boxes)),
        *(item(f"odd{number}.laz", box=box) for number, box in enumerate(odd)),
    ]})  # fmt: skip
    found = lists.read(Address(site.url(name="all.json")), (np.array([12.0, 2.0]), np.array([14.0, 4.0])))
    # Files are 10 wide: what is further away than one of them cannot be reached.
    assert [one.name for one in found if one.name[0] != "o"] == ["0.laz", "1.laz"]
    assert len(found) == 6  # of those that tell nothing of use, nobody knows
    put(site, all={"type": "FeatureCollection", "features": [item("a.laz", box=[0, 0, 1, 1])]})
    with pytest.raises(SpecError, match="lists no file near the bounds"):
        expand([site.url(name="all.json")], bounds=(np.array([99.0, 99.0]), np.array([100.0, 100.0])))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"type": "Catalog", "links": []}, "has no links to items"),
        ({"type": "Catalog"}, "has no links to items"),
        ({"type": "FeatureCollection", "features": []}, "names no files"),
        ({"type": "Topology"}, r"is no catalogue, for its type is none of FeatureCollection, Feature, .*STAC"),
        ([1], "is no catalogue, for its type is none of"),
        ("x", "is no catalogue"),
        (item("file:///etc/passwd.laz"), "names a file of the machine that it was made on"),
        (item("a.zip"), r"names .*a\.zip, which has no extension that is known"),
        ({**ITEM, "assets": {}}, "item 1 has no file"),
    ],
)
def test_what_is_no_catalogue(site: sites.Site, content: Any, said: str) -> None:
    put(site, list=content)
    with pytest.raises(SpecError, match=said) as caught:
        expand([site.url("anna:geheim@", "?secret", "list.json")])
    assert len(caught.value.errors) == 1
    assert caught.value.errors[0].startswith(site.url(name="list.json"))


def test_addresses_are_files_by_what_is_shown_of_them(site: sites.Site) -> None:
    found = expand(["https://h/a.laz?sig=1", "s3://b/a.copc.laz"])
    assert [(one.name, one.stem, one.suffix) for one in found] == [
        ("a.laz", "a", ".laz"), ("a.copc.laz", "a.copc", ".laz")]  # fmt: skip
    with pytest.raises(SpecError, match=r"^https://h/a.laz: is named twice; name it once"):
        expand(["https://h/a.laz?sig=1", "https://u:p@h/a.laz?sig=2"])
    with pytest.raises(SpecError, match=r"https://h/a.pdf: has no extension that is known"):
        expand(["https://h/a.pdf?a.laz"])
    site.files = {"a": b""}
    with pytest.raises(SpecError, match=r"gone.vpc: does not exist \(404 Not Found\)"):
        expand([site.url(name="gone.vpc")])


@pytest.mark.parametrize(
    ("base", "link", "found"),
    [
        ("https://u:p@h/a/b.vpc?sig=1", "./c.laz", "https://u:p@h/a/c.laz"),
        ("https://h/a/b.vpc", "../../../c d.laz?x=1", "https://h/c%20d.laz?x=1"),
        ("https://h/b.vpc", "//k/c.laz", "https://k/c.laz"),
        ("https://h", "c.laz", "https://h/c.laz"),
        ("s3://bucket/a/b.vpc", "./c d?.laz", "s3://bucket/a/c d?.laz"),
        ("s3://bucket/a/b.vpc", "/c.laz", "s3://bucket/c.laz"),
        ("s3://bucket/a/b.vpc", "gs://o/c.laz", "gs://o/c.laz"),
    ],
)
def test_links(base: str, link: str, found: str) -> None:
    assert Address(base).join(link).full == found


def test_a_vpc_leads_to_no_other_lists(tmp_path: Path) -> None:
    content = {"type": "FeatureCollection", "features": [item("https://h/a.laz")], **links("next", "http://[")}
    (tmp_path / "a.vpc").write_text(json.dumps(content))
    assert [str(one) for one in lists.read(tmp_path / "a.vpc")] == ["https://h/a.laz"]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ReadError):
        lists.read(tmp_path / "a.json")
