"""What was fetched and is kept for later runs: the right bytes, few of them twice, no more than is allowed, nothing
that is secret."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import copcs
import numpy as np
import pytest
import web as sites
from click.testing import Result

from deburr.core import web
from deburr.core.addresses import is_told
from deburr.core.errors import ReadError
from deburr.readers.las import LasReader

Cli = Callable[..., Result]
#: Three files of different bytes and the same length.
FILES = {
    name: bytes(np.random.default_rng(seed).integers(0, 256, 300_000, dtype=np.uint8))
    for seed, name in enumerate(("a.laz", "b.laz", "c.laz"))
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cache, which all that is read goes through."""
    monkeypatch.setattr(web, "PAUSE", 0.001)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "DEBURR_CACHE_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DEBURR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def site() -> Iterator[sites.Site]:
    with sites.served(**FILES) as found:
        yield found


def anew(site: sites.Site) -> None:
    """As if in another process, and counted from here."""
    web._kept.clear()
    site.asked.clear()
    site.sent = 0


def read(site: sites.Site, name: str = "a.laz", query: str = "") -> bytes:
    anew(site)
    with web.opened(site.url(name=name, query=query)) as file:
        web.fetch(file, [(0, 10**9)])
        return file.read()


def pieces(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file() and path.name != ".lock")


def used(cache: Path) -> int:
    return sum(path.stat().st_size for path in pieces(cache))


@pytest.mark.parametrize("ranges", [True, False])
def test_what_was_fetched_is_not_fetched_again(site: sites.Site, cache: Path, ranges: bool) -> None:
    site.ranges = ranges
    assert read(site) == FILES["a.laz"]
    assert site.sent >= 300_000
    assert read(site) == FILES["a.laz"]
    assert site.asked == ["bytes=0-0"]  # whether it is still the same
    assert not ranges or site.sent == 1
    assert used(cache) < 301_000
    site.etag = '"2"'
    site.files = {**FILES, "a.laz": FILES["b.laz"]}
    assert read(site) == FILES["b.laz"]


def test_it_is_off_unless_it_is_asked_for(site: sites.Site, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (None, ""):
        if folder is None:
            monkeypatch.delenv("DEBURR_CACHE")
        else:
            monkeypatch.setenv("DEBURR_CACHE", folder)
        for _ in range(2):
            assert read(site) == FILES["a.laz"]
            assert site.sent == 300_000
    assert not cache.exists()


def test_windows_of_copc(site: sites.Site, cache: Path) -> None:
    site.files = {"a.copc.laz": copcs.copc(*copcs.country(60_000), shuffled=False).data}
    points = {}
    for low in (500_000, 500_000, 500_020):
        anew(site)
        bounds = f"([{low}, {low + 15}], [5599985, 5600005])"
        cloud = LasReader(filename=site.url(name="a.copc.laz"), bounds=bounds).read()
        if low in points:
            assert site.asked == ["bytes=0-0"]
            assert site.sent == 1
            assert points[low].tobytes() == cloud.xyz.tobytes()
        points[low] = cloud.xyz
    # The next window shares the head, the index and the upper levels with the first.
    shared = site.sent
    for path in pieces(cache):
        path.unlink()
    anew(site)
    assert LasReader(filename=site.url(name="a.copc.laz"), bounds=bounds).read().xyz.tobytes() == points[low].tobytes()
    assert shared < 0.7 * site.sent


@pytest.mark.parametrize(
    ("etag", "modified", "kept"),
    [
        (None, None, False),
        ('W/"1"', None, False),
        ('W/"1"', "Mon, 30 Nov 2020 12:00:00 GMT", True),
        (None, "Mon, 30 Nov 2020 12:00:00 GMT", True),
    ],
)
def test_only_what_a_server_has_a_mark_for(
    site: sites.Site, cache: Path, etag: str | None, modified: str | None, kept: bool
) -> None:
    site.etag, site.modified = etag, modified
    for turn in range(2):
        assert read(site) == FILES["a.laz"]
        assert site.sent == (1 if turn and kept else 300_000)
    assert bool(pieces(cache)) == kept


def test_damaged_pieces_are_not_believed(site: sites.Site, cache: Path) -> None:
    def flipped(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[-7] ^= 1
        path.write_bytes(data)

    def cut_off(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-1])

    def longer(path: Path) -> None:
        path.write_bytes(path.read_bytes() + b"0")

    def empty(path: Path) -> None:
        path.write_bytes(b"")

    def of_another(path: Path) -> None:
        other = next(one for one in pieces(cache) if one.parent != path.parent and one.name == path.name)
        path.write_bytes(other.read_bytes()[:-1] + b"0")

    def moved(path: Path) -> None:
        state, begin, end = path.name.split("-")
        path.rename(path.with_name(f"{state}-{int(begin) + 5}-{int(end) + 5}"))

    def linked(path: Path) -> None:
        path.rename(cache / "elsewhere")
        path.symlink_to(cache / "elsewhere")

    for damage in (flipped, cut_off, longer, empty, of_another, moved, linked):
        assert read(site) == FILES["a.laz"]
        mine = set(pieces(cache))
        assert read(site, "b.laz") == FILES["b.laz"]
        assert len(mine) == 2  # the head, and the rest
        for path in sorted(mine):
            damage(path)
            assert read(site) == FILES["a.laz"], damage
            assert site.sent > 65_000, damage
        (cache / "elsewhere").unlink(missing_ok=True)
        for path in pieces(cache):
            path.unlink()


def test_no_more_is_kept_than_is_allowed_and_what_was_used_last_stays(
    site: sites.Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBURR_CACHE_SIZE", "700 kB")
    for name in ("a.laz", "b.laz", "a.laz"):
        assert read(site, name) == FILES[name]
    assert site.sent == 1
    when = 1_000_000_000
    for path in pieces(cache):  # as if long ago, one behind the other
        os.utime(path, (when, when))
    assert read(site, "a.laz") == FILES["a.laz"]
    assert read(site, "c.laz") == FILES["c.laz"]
    assert used(cache) <= 700_000
    assert read(site, "a.laz") == FILES["a.laz"]
    assert site.sent == 1
    assert read(site, "c.laz") == FILES["c.laz"]
    assert site.sent == 1
    assert read(site, "b.laz") == FILES["b.laz"]
    assert site.sent > 200_000
    assert used(cache) <= 700_000
    # Of one that is larger than all that may be kept, as much as may be.
    monkeypatch.setenv("DEBURR_CACHE_SIZE", "100000")
    web._kept.clear()
    assert read(site, "c.laz") == FILES["c.laz"]
    assert read(site, "b.laz") == FILES["b.laz"]


def test_what_processes_left_that_were_killed_goes(
    site: sites.Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBURR_CACHE_SIZE", "400 kB")
    assert read(site) == FILES["a.laz"]
    folder = pieces(cache)[0].parent
    for name, age in ((".0123456789abcdef", 10**9), (".fedcba9876543210", None)):
        (folder / name).write_bytes(bytes(50_000))
        if age is not None:
            os.utime(folder / name, (age, age))
    assert read(site, "b.laz") == FILES["b.laz"]
    assert not (folder / ".0123456789abcdef").exists()
    assert (folder / ".fedcba9876543210").exists()  # it may be written still


def test_nothing_of_it_is_secret_or_open_to_others(site: sites.Site, cache: Path) -> None:
    secret = "geheim"
    for signature in ("secret1", "secret2"):
        anew(site)
        address = site.url(f"anna:{secret}@", f"?X-Amz-Signature={signature}&X-Amz-Expires=60", "a.laz")
        with web.opened(address) as file:
            assert file.read() == FILES["a.laz"]
    assert site.sent == 1  # signed anew, it is the same file
    assert used(cache) > 300_000
    for path in cache.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
        assert re.fullmatch(r"fetched|\.lock|[0-9a-f]{32}|[0-9a-f]{16}-\d+-\d+", path.name)
        if path.name != ".lock" and path.is_file():
            data = path.read_bytes()
            assert data[32:] in FILES["a.laz"]
            assert data[:32] == hashlib.sha256(path.name.encode() + b"\n" + data[32:]).digest()


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", True),
        ("?X-Amz-Algorithm=A&X-Amz-Credential=c&X-Amz-Signature=s&X-Amz-Security-Token=t", True),
        ("?st=1&se=2&sp=rl&sv=3&sr=c&skoid=4&sktid=5&skt=6&ske=7&sks=b&skv=8&sig=9", True),
        ("?Expires=1&Signature=2&Key-Pair-Id=3", True),
        ("?id=1", False),
        ("?X-Amz-Signature=s&versionId=2", False),
        ("?file", False),
    ],
)
def test_queries_that_may_name_a_file(query: str, told: bool) -> None:
    assert is_told(f"https://host/a.laz{query}") == told


def test_files_that_a_query_names_are_told_apart(site: sites.Site, cache: Path) -> None:
    for name in ("a.laz", "b.laz"):
        site.files = {"get": FILES[name]}
        assert read(site, "get", f"?file={name}") == FILES[name]
    assert not pieces(cache)


def test_a_cache_that_cannot_be(site: sites.Site, cache: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    # What cannot be kept is fetched.
    read(site)
    (place,) = {path.parent for path in pieces(cache)}
    for path in pieces(cache):
        path.unlink()
    place.rmdir()
    place.write_bytes(b"")
    for _ in range(2):
        assert read(site) == FILES["a.laz"]
        assert site.sent == 300_000
    # What makes no sense is said.
    for size in ("much", "0", "-1GB", "1" * 40):
        monkeypatch.setenv("DEBURR_CACHE_SIZE", size)
        with pytest.raises(ReadError, match=r"DEBURR_CACHE_SIZE: is no amount of bytes .*give one such as 20GB"):
            read(site)
    monkeypatch.setenv("DEBURR_CACHE_SIZE", "2GB")
    (cache / "file").write_bytes(b"")
    monkeypatch.setenv("DEBURR_CACHE", str(cache / "file"))
    told = cli("info", "--summary", site.url(name="a.laz"))
    assert told.exit_code == 1
    assert re.search(r"the folder for what is fetched cannot be made \(.*\).*DEBURR_CACHE, or unset it", told.stderr)
    assert len(told.stderr.splitlines()) == 1


_READS = """
import sys
from deburr.core import web
for turn in range(6):
    for address in sys.argv[1:]:
        web._kept.clear()
        with web.opened(address) as file:
            web.fetch(file, [(turn * 40_000, turn * 40_000 + 90_000), (290_000, 300_000)])
            file.seek(turn * 40_000)
            sys.stdout.buffer.write(file.read(50_000))
"""


def test_processes_side_by_side(site: sites.Site, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBURR_CACHE_SIZE", "500 kB")  # so that each removes what others want
    names = [site.url(name=name) for name in FILES]
    running = [
        subprocess.Popen([sys.executable, "-c", _READS, *names[turn:], *names[:turn]], stdout=subprocess.PIPE)
        for turn in range(3)
    ]
    for turn, process in enumerate(running):
        found, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        order = [*FILES.values()][turn:] + [*FILES.values()][:turn]
        assert found == b"".join(data[part * 40_000 : part * 40_000 + 50_000] for part in range(6) for data in order)
    assert pieces(cache)
    assert used(cache) <= 500_000
    assert all("-" in path.name for path in pieces(cache))
    for name in FILES:
        assert read(site, name) == FILES[name]
