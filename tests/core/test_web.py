"""Files on the web: the right bytes, as few as need be, or one sentence; and nothing that is secret is told."""

from __future__ import annotations

import logging
import re
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import copcs
import numpy as np
import pytest
import web as sites
from click.testing import Result

from deburr.core import servers, web
from deburr.core.addresses import is_address, shown
from deburr.core.errors import ReadError, SpecError, WriteError
from deburr.pipeline import load, run
from deburr.readers.las import LasReader

Cli = Callable[..., Result]
DATA = bytes(np.random.default_rng(0).integers(0, 256, 1_000_000, dtype=np.uint8))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAUSE", 0.001)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site() -> Iterator[sites.Site]:
    with sites.served(DATA) as found:
        yield found


@pytest.mark.parametrize("ranges", [True, False])
def test_bytes_are_those_of_the_file_and_come_once(site: sites.Site, ranges: bool) -> None:
    site.ranges = ranges
    random = np.random.default_rng(1)
    with web.opened(site.url()) as file:
        for _ in range(200):
            begin, count = int(random.integers(-10, len(DATA) + 10)), int(2 ** random.uniform(0, 17))
            file.seek(max(begin, 0))
            assert file.read(count) == DATA[max(begin, 0) : max(begin, 0) + count]
        assert file.seek(-5, 2) == len(DATA) - 5
        assert file.read() == DATA[-5:]
        file.seek(0)
        assert file.read() == DATA
    assert len(DATA) <= site.sent <= 1.2 * len(DATA)
    assert len(site.asked) < (60 if ranges else 2)


def test_what_lies_near_is_fetched_at_once(site: sites.Site) -> None:
    file = web.opened(site.url())
    web.fetch(file, [(500_000, 500_010), (540_000, 600_000), (900_000, 900_001), (100, 200)])
    assert site.asked == ["bytes=0-65535", "bytes=500000-599999", "bytes=900000-965535"]
    web.fetch(file, [(0, len(DATA))])
    assert site.asked[3:] == ["bytes=65536-499999", "bytes=600000-999999"]  # again what lies between
    assert site.sent == len(DATA) + 65536


def test_many_ranges_become_few_where_little_is_lost() -> None:
    ranges = [(at, at + 100_000) for at in range(0, 4_000_000, 200_000)]
    assert len(web._coalesced(ranges)) < 9
    far = [(at, at + 1000) for at in range(0, 10**8, 10**6)]
    assert web._coalesced(far) == far
    assert web._coalesced([(0, 9), (3, 5), (4, 20)]) == [(0, 20)]
    assert web._coalesced([]) == []


Faults = list[Callable[[sites.Handler], bool | None] | None]


@pytest.mark.parametrize(
    "faults",
    [
        [sites.status(500)],
        [None, sites.status(503), sites.status(429), sites.status(502)],
        [None, sites.stop_after(70_000)],
        [sites.stop_after(0), sites.stop_after(1), sites.stop_after(2)],
        [None, sites.stop_after(150_000), sites.stop_after(150_000), sites.stop_after(99_999)],
    ],
)
@pytest.mark.parametrize("ranges", [True, False])
def test_a_line_that_breaks_and_mends(site: sites.Site, faults: Faults, ranges: bool) -> None:
    site.ranges, site.faults = ranges, list(faults)
    assert web.opened(site.url()).read() == DATA


def other_range(handler: sites.Handler) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", "bytes 5-14/1000000")
    handler.send_header("Content-Length", "10")
    handler.end_headers()
    handler.wfile.write(bytes(10))


def no_range(handler: sites.Handler) -> None:
    handler.send_response(206)
    handler.send_header("Content-Length", "10")
    handler.end_headers()
    handler.wfile.write(bytes(10))


def other_length(handler: sites.Handler) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", "bytes 0-65535/1000000")
    handler.send_header("Content-Length", "65000")
    handler.end_headers()
    handler.wfile.write(DATA[:65000])


def no_length(handler: sites.Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(DATA)
    handler.close_connection = True


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ([sites.status(403)], r"its server refuses it \(403 Forbidden\); check your rights"),
        ([sites.status(401)], r"its server refuses it \(401 Unauthorized\)"),
        ([sites.status(404)], r"does not exist \(404 Not Found\); check the address"),
        ([sites.status(416)], r"its server answers 416"),
        ([sites.status(500)] * 4, r"the server answers 500 .*, 4 times; try again later"),
        ([None, *[sites.stop_after(9)] * 4], r"the line broke after 9 of 65,\d+ bytes, 4 times; try again later"),
        ([other_range], "its server gives other bytes than were asked for; download the file"),
        ([other_length], "its server gives other bytes than were asked for; download the file"),
        ([no_range], "its server answers a range without saying which; download the file"),
        ([no_length], "its server says not how long it is; download the file"),
        ([sites.status(302, Location="file:///etc/passwd")], "its server answers 302 "),
        ([sites.status(302, Location="/tile.copc.laz")] * 12, "its server answers 302 "),
    ],
)
def test_what_goes_wrong_is_one_sentence(site: sites.Site, faults: Faults, said: str) -> None:
    site.faults = list(faults)
    address = site.url("anna:geheim@", "?X-Amz-Signature=secret")
    with pytest.raises(ReadError) as caught:
        web.opened(address).read()
    text = str(caught.value)
    assert re.fullmatch(rf"{re.escape(site.url())}: .*{said}.*", text)
    assert not re.search("geheim|secret|anna", text + repr(caught.value) + repr(caught.value.__cause__))


def test_nobody_answers() -> None:
    with pytest.raises(ReadError, match=r"http://127.0.0.1:9/a.laz: cannot be reached \(Connection refused\), 4 times"):
        web.opened("http://u:p@127.0.0.1:9/a.laz?sig=1")
    with pytest.raises(ReadError, match=r"http://\[a.laz: is no address|is no address that can be asked for"):
        web.opened("http://127.0.0.1:port/a.laz")


def test_a_server_that_is_silent_or_slow(site: sites.Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "TIMEOUT", 0.1)
    monkeypatch.setattr(web, "TRIES", 2)
    silent = threading.Event()

    def waits(_: sites.Handler) -> None:
        silent.wait(2)

    site.faults = [waits] * 2
    with pytest.raises(ReadError, match=r"(was silent for|no answer in) 0.1 seconds\)?, 2 times; try again later"):
        web.opened(site.url())
    silent.set()
    monkeypatch.setattr(servers, "TIMEOUT", 5.0)

    def drips(handler: sites.Handler) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", "bytes 0-65535/1000000")
        handler.send_header("Content-Length", "65536")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x")
            threading.Event().wait(0.01)

    site.faults = [drips]
    # What a clock says is moved on, so that nothing hangs on how fast this machine is.
    ticks = iter(range(0, 10**6, 3))
    monkeypatch.setattr("deburr.core.servers.time.monotonic", lambda: next(ticks))
    with pytest.raises(ReadError, match="its server gives less than 10 kB a second"):
        web.opened(site.url())


@pytest.mark.parametrize("etag", ['"2"', None])
def test_a_file_that_changes_in_between(site: sites.Site, etag: str | None) -> None:
    file = web.opened(site.url())
    site.data, site.etag = bytes(len(DATA) + (etag is None)), etag
    with pytest.raises(ReadError, match="was changed while it was read; run again when nothing writes to it"):
        file.read()
    # Who opens it anew reads what it is now, and nothing of before.
    assert web.opened(site.url()).read() == site.data


def test_where_a_redirect_leads_is_told_to_nobody(site: sites.Site) -> None:
    """Such addresses are signed by who gives them, for us alone."""
    with sites.served(DATA) as other:
        signed = {"Location": other.url(query="?X-Amz-Signature=secret&name=anna")}
        site.faults = [sites.status(302, **signed)]
        other.faults = [sites.status(403)]
        found = []
        with pytest.raises(ReadError, match=r"its server refuses it \(403 Forbidden\)") as caught:
            web.opened(site.url())
        found.append(caught)
        other.faults, site.faults = [sites.stop_after(0)] * 9, [sites.status(302, **signed)] * 9
        with pytest.raises(ReadError, match="4 times; try again later") as caught:
            web.opened(site.url())
        found.append(caught)
    site.faults = [sites.status(302, **signed)] * 9  # where nobody is any more
    with pytest.raises(ReadError, match=r"cannot be reached \(Connection refused\), 4 times") as caught:
        web.opened(site.url())
    for one in [*found, caught]:
        assert not re.search("geheim|secret|anna", "".join(traceback.format_exception(one.value)))
        assert str(one.value).startswith(site.url())


def test_logins_go_to_their_server_alone(site: sites.Site) -> None:
    with sites.served(DATA) as other:
        site.faults = [sites.status(302, Location=other.url(query="?moved"))] * 3
        assert web.opened(site.url("anna:ge%40heim@")).read(10) == DATA[:10]
        assert site.headers[0]["Authorization"] == "Basic YW5uYTpnZUBoZWlt"
        assert "Authorization" not in other.headers[0]
        assert other.asked[0] == site.asked[0] == "bytes=0-65535"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A store of objects in memory: ``taken``: ranges that were read; ``refused``: raised by all that asks."""
    fsspec = pytest.importorskip("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem
    from fsspec.registry import _registry

    class Bucket(MemoryFileSystem):  # type: ignore[misc]
        protocol = "s3"
        store: ClassVar[dict[str, Any]] = {}
        taken: ClassVar[list[tuple[int, int]]] = []
        refused: type[Exception] | None = None

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return "/" + path.removeprefix("s3://").strip("/")

        def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
            if self.refused is not None:
                raise self.refused("secret of the bucket")
            return {**super().info(path, **kwargs), "ETag": str(hash(bytes(self.store[path].getvalue())))}

        def cat_file(self, path: str, start: int = 0, end: int = 0, **kwargs: Any) -> bytes:
            self.taken.append((start, end))
            return bytes(super().cat_file(path, start=start, end=end, **kwargs))

        def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
            if self.refused is not None:
                raise self.refused("secret of the bucket")
            self.pipe_file(rpath, Path(lpath).read_bytes())

    fsspec.register_implementation("s3", Bucket, clobber=True)
    yield Bucket
    _registry.pop("s3", None)


def test_faults_of_stores(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket().pipe_file("/bucket/a.laz", DATA)
    real, faults = bucket.cat_file, list[Any]()

    def cat_file(self: Any, path: str, start: int, end: int) -> bytes:
        fault = faults.pop(0) if faults else None
        if isinstance(fault, type):
            raise fault("https://store/?secret")
        if callable(fault):
            fault()
        return bytes(real(self, path, start=start, end=end)[: fault if isinstance(fault, int) else None])

    monkeypatch.setattr(bucket, "cat_file", cat_file)
    for mends in ([OSError], [None, TimeoutError], [None, 5, OSError, 0]):
        web._kept.clear()
        faults[:] = mends
        assert web.opened("s3://bucket/a.laz").read() == DATA
    for lasts, said in (([5] * 4, r"the store gave 5 bytes of 65,536, 4 times"),
                        ([None, *[TimeoutError] * 4], r"cannot be reached \(.*\), 4 times")):  # fmt: skip
        web._kept.clear()
        faults[:] = lasts
        with pytest.raises(ReadError, match=rf"s3://bucket/a\.laz: {said}; try again later") as caught:
            web.opened("s3://bucket/a.laz").read()
        assert "secret" not in str(caught.value)
    web._kept.clear()
    faults[:] = [None, lambda: bucket().pipe_file("/bucket/a.laz", DATA[::-1]), None]
    file = web.opened("s3://bucket/a.laz")
    web.fetch(file, [(100_000, 200_000)])
    with pytest.raises(ReadError, match="was changed while it was read; run again when nothing writes to it"):
        file.read()


class NoCredentialsError(Exception):
    """As a program of a store has them."""


def test_stores_of_objects(bucket: Any) -> None:
    bucket().pipe_file("/bucket/a.laz", DATA)
    file = web.opened("s3://bucket/a.laz")
    assert file.read(100) == DATA[:100]
    assert bucket.taken == [(0, 65536)]
    assert file.seek(0) == 0
    assert file.read() == DATA
    assert sum(end - begin for begin, end in bucket.taken) == len(DATA)
    bucket().pipe_file("/bucket/a.laz", DATA[::-1])
    assert web.opened("s3://bucket/a.laz").read() == DATA[::-1]
    with pytest.raises(ReadError, match=r"s3://bucket/b\.laz: does not exist; check the address"):
        web.opened("s3://bucket/b.laz")
    for kind, said in (
        (PermissionError, "its store refuses it"),
        (OSError, r"cannot be reached \(OSError\), 4 times"),
        (NoCredentialsError, r"cannot be read \(NoCredentialsError\); check the address and your keys"),
    ):
        bucket.refused = kind
        with pytest.raises(ReadError, match=said) as caught:
            web.opened("s3://bucket/c.laz")
        assert "secret" not in str(caught.value)


def test_stores_are_written_to_when_all_is_done(
    bucket: Any, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    source = str(data_dir / "data/lidar/laspy_plane.laz")
    spec = [source, {"type": "filters.noise", "sigma": 0.01}]
    for name in ("out.laz", "out.copc.laz", "out.ply"):
        found = run([*spec, f"s3://bucket/{name}"], report_dir=tmp_path / "report")
        assert found.report["outputs"] == [f"s3://bucket/{name}"]
        assert bucket().exists(f"/bucket/{name}")
    there = LasReader(filename="s3://bucket/out.laz").read()
    here = run([*spec, str(tmp_path / "here.laz")]).cloud
    assert len(there) == len(here)
    assert np.abs(there.xyz - here.xyz).max() < 0.02
    before = bytes(bucket.store["/bucket/out.laz"].getvalue())
    for kind, said in (
        (PermissionError, "its store refuses it"),
        (FileNotFoundError, "there is no such bucket"),
        (OSError, r"cannot be reached \(OSError\); nothing was written there, run again"),
        (NoCredentialsError, r"cannot be written \(NoCredentialsError\)"),
    ):
        bucket.refused = kind
        with pytest.raises(WriteError, match=rf"s3://bucket/out.laz: .*{said}") as caught:
            run([*spec, "s3://bucket/out.laz"])
        assert "secret" not in str(caught.value)
        assert bytes(bucket.store["/bucket/out.laz"].getvalue()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here.laz", "report"]  # no scratch is left
    with pytest.raises(SpecError, match=r"'https://h/out.laz' lies on a web server, which takes no files"):
        run([source, "https://h/out.laz"])


def test_a_store_whose_package_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReadError, match=r"(need another package .*pip install 'deburr\[cloud\]'|is no address that)"):
        web.opened("gs://bucket/a.laz" if __import__("importlib.util").util.find_spec("gcsfs") is None else "xx://a")


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("https://u:p@host/a.laz?sig=1: gone", "https://host/a.laz: gone"),
        ("of 's3://key:secret@b/a@2.laz' or C://x", "of 's3://b/a@2.laz' or C://x"),
        ("https://" + 900 * "u" + ":p@host/" + 9000 * "a" + "?" + 9000 * "s", "https://host/" + 9000 * "a"),
        ("http://u:p@ss@h/a#frag; http://h/b", "http://h/a http://h/b"),
        ("a?b@c and no address", "a?b@c and no address"),
        ("https:/u:p@host/a.laz?sig=1: is what a path makes of it", "https:/host/a.laz: is what a path makes of it"),
        ("C:/a#b.laz in file:/a?b", "C:/a#b.laz in file:/a?b"),
    ],
)
def test_what_is_shown(text: str, public: str) -> None:
    assert shown(text) == public
    assert shown(public) == public


def test_addresses() -> None:
    assert is_address("https://h/a.laz")
    assert is_address("s3://b/a.laz")
    assert not any(map(is_address, ("a.laz", "/a/b.laz", "C:\\a.laz", "a://b"[1:], "")))


@pytest.fixture(scope="module")
def tile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An airborne tile of 128 m as COPC, of about 8 MB."""
    path = tmp_path_factory.mktemp("tile") / "tile.copc.laz"
    copcs.copc(*copcs.country(420_000), shuffled=False).write(path)
    assert 7.5e6 < path.stat().st_size < 9e6
    return path


def test_a_window_of_a_tile_costs_a_part_of_it(tile: Path) -> None:
    bounds = "([500010, 500030], [5599985, 5600005])"
    here = LasReader(filename=str(tile), bounds=bounds).read()
    with sites.served(tile.read_bytes()) as site:
        there = LasReader(filename=site.url(), bounds=bounds).read()
        assert there.source.records.tobytes() == here.source.records.tobytes()  # type: ignore[attr-defined]
        assert there.rows.tolist() == here.rows.tolist()
        assert len(here) > 5000
        assert site.sent <= 2_000_000
        assert len(site.asked) <= 15
        asked = len(site.asked)
        LasReader(filename=site.url(), bounds=bounds).outline()
        assert len(site.asked) == asked + 1  # whether it is still the same
        assert LasReader(filename=site.url()).read().xyz.tobytes() == LasReader(filename=str(tile)).read().xyz.tobytes()
        assert site.sent <= 1.1 * len(site.data)


@pytest.mark.parametrize("name", ["pdal_4_6_crop.las", "laspy_plane.laz"])
def test_files_that_are_no_copc(data_dir: Path, name: str) -> None:
    path = data_dir / "data/lidar" / name
    here = LasReader(filename=str(path)).read()
    with sites.served(path.read_bytes()) as site:
        site.name = name
        assert LasReader(filename=site.url()).outline().extent.count == len(here)
        assert site.sent <= 70_000
        there = LasReader(filename=site.url()).read()
        assert there.source.records.tobytes() == here.source.records.tobytes()  # type: ignore[attr-defined]
        parts = list(LasReader(filename=site.url(), start=5).parts(500))
        assert sum(map(len, parts)) == len(here) - 5
        assert site.sent <= len(site.data) + 20


def test_pipelines_read_addresses_and_tell_no_secrets(
    data_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, cli: Cli
) -> None:
    caplog.set_level(logging.DEBUG)
    data = (data_dir / "data/lidar/laspy_plane.laz").read_bytes()
    out = tmp_path / "out.laz"
    with sites.served(data) as site:
        site.name = "plane.laz"
        address = site.url("anna:geheim@", "?X-Amz-Signature=secret")
        assert load([address, str(out)]).reader is not None
        run([address, {"type": "filters.noise", "sigma": 0.01}, str(out)], report_dir=tmp_path / "report")
        assert out.exists()
        told = [cli("denoise", address, str(tmp_path / "denoised.laz")), cli("info", address)]
        assert [one.exit_code for one in told] == [0, 0]
        site.faults = [sites.status(403)] * 9
        (tmp_path / "spec.txt").write_text(f'["{address}", "{out}"]')
        told.append(cli("run", str(tmp_path / "spec.txt")))
        assert told[-1].exit_code == 1
        assert "(403 Forbidden)" in told[-1].stderr
    texts = [
        *(one.output + one.stderr for one in told),
        caplog.text,
        *(one.read_text() for one in tmp_path.rglob("*.json")),
    ]
    texts += [one.read_text() for one in tmp_path.rglob("*.html")]
    assert not re.search("geheim|secret", "\n".join(texts))


def middle(fault: Callable[[sites.Handler], bool | None]) -> Callable[[sites.Handler], bool | None]:
    """``fault`` where neither the head of the file is asked for nor its end, with the index."""

    def maybe(handler: sites.Handler) -> bool | None:
        begin, end = handler.headers["Range"].removeprefix("bytes=").split("-")
        if int(begin) and int(end) + 1 < len(handler.site.data):  # type: ignore[attr-defined]
            return fault(handler) or hasattr(fault, "goes_on")
        return True

    return maybe


def another(handler: sites.Handler) -> bool:
    handler.site.etag = '"2"'  # type: ignore[attr-defined]
    return True


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (sites.status(403), "its server refuses it"),
        (sites.status(404), "does not exist"),
        (middle(sites.status(500)), "the server answers 500 .*, 4 times"),
        (middle(sites.stop_after(9)), "the line broke after .* bytes, 4 times"),
        (middle(other_range), "its server gives other bytes"),
        (middle(sites.status(302, Location="?X-Amz-Signature=secret")), "its server answers 302"),
        (middle(another), "was changed while it was (read|worked on)"),
    ],
)
@pytest.mark.parametrize(("command", "debug"), [("denoise", False), ("denoise", True), ("batch", False)])
def test_faults_that_last_are_a_sentence_and_leave_nothing(
    command: str,
    debug: bool,
    fault: Callable[[sites.Handler], bool | None],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cli: Cli,
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    whole = copcs.copc(*copcs.country(8000), shuffled=False).data
    assert len(whole) > 2.5 * web.BLOCK
    with sites.served(whole) as site:
        site.faults = [fault] * 200
        address = site.url("anna:geheim@", "?X-Amz-Signature=secret")
        words = ["denoise", address, "out.laz", *(["--debug"] if debug else [])]
        if command == "batch":
            words = ["batch", '[{"type": "filters.outlier"}]', address, "--out", "out"]
        told = cli(*words)
    assert told.exit_code == 1, told.stderr
    text = told.output + told.stderr + "".join(traceback.format_exception(told.exception))
    assert re.search(rf"{site.url()}: {said}", text)
    assert command == "batch" or debug or len(told.stderr.splitlines()) <= 2
    assert not re.search("geheim|secret|anna", text)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if "laz" in path.name or path.parent.name == "tmp"]
    assert not [path for path in files if re.search("geheim|secret|anna", path.read_text("latin-1"))]


def test_where_addresses_are_not_taken(tmp_path: Path) -> None:
    from deburr.batch import batch

    address = "https://u:geheim@host/a.laz?secret"
    for call in (
        lambda: batch(["filters.spd"], inputs="a.laz", out=address),
        lambda: load(["a.laz", address]),
        lambda: run([address, "filters.spd", str(tmp_path / "b.laz")], memory="1GB"),
        lambda: run([{"type": "filters.noise", "sigma": 1}], points=[[0, 0, 0]], report_dir=address),
        lambda: run([{"type": "filters.noise", "sigma": 1}], points=[[0, 0, 0]], report_dir=Path(address)),
    ):
        with pytest.raises(SpecError, match=r"https://host/a.laz|addresses|address") as caught:
            call()
        assert not re.search("geheim|secret", str(caught.value))


@pytest.mark.slow
def test_no_command_tells_secrets(tmp_path: Path, cli: Cli) -> None:
    address = "http://anna:geheim@127.0.0.1:9/a.laz?X-Amz-Signature=secret"
    spec = '[{"type": "filters.outlier"}]'
    (tmp_path / "a.laz").write_bytes(b"no LAZ")
    for words in (
        ["evaluate", address, address],
        ["batch", spec, "a.laz", "--out", address],
        ["batch", spec, "a.laz", "--out", "out", "--context", address],
        ["denoise", "a.laz", address],
        ["denoise", "a.laz", "b.laz", "--report", address],
        ["run", address],
        ["run", spec, "--input", address, "--output", address],
        ["validate", address],
        ["view", "a.laz", "--output", address],
        ["weights", "show", address],
        ["train", address],
    ):
        told = cli(*words)
        assert told.exit_code in (1, 2), words
        text = told.output + told.stderr + "".join(traceback.format_exception(told.exception))
        assert not re.search("geheim|secret|anna", text), words
    assert not [
        path for path in tmp_path.rglob("*") if re.search("geheim|secret|anna", str(path.relative_to(tmp_path)))
    ]
