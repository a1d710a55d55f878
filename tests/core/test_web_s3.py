"""Files in an S3 store, stood in for by moto: windows by ranges, counted; and a batch of a list of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import copcs
import pytest

from deburr.batch import batch
from deburr.batch.api import request
from deburr.batch.prepare import prepare
from deburr.core import servers, web
from deburr.core.errors import ReadError
from deburr.readers.las import LasReader

moto = pytest.importorskip("moto.server", reason="needs moto, a stand-in for S3: pip install 'deburr[dev]'")
pytest.importorskip("s3fs", reason="needs s3fs: pip install 'deburr[cloud]'")


@dataclass
class Bucket:
    """What was asked for: method, path, range; and bytes that were given."""

    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    sent: int = 0
    before: Callable[[dict[str, Any]], object] | None = None

    @property
    def gets(self) -> list[str | None]:
        return [range_ for method, _, range_ in self.asked if method == "GET"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    from werkzeug.serving import make_server

    found, app = Bucket(), moto.DomainDispatcherApplication(moto.create_backend_app)

    def counting(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        found.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_RANGE")))
        if found.before is not None:
            found.before(environ)
        for part in app(environ, start):
            found.sent += len(part)
            yield part

    server = make_server("127.0.0.1", 0, counting, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "geheim",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            patch.delenv(name, raising=False)
        import s3fs

        store = s3fs.S3FileSystem(skip_instance_cache=True)
        store.mkdir("lidar")
        yield found
    server.shutdown()


@pytest.fixture(scope="module")
def tile(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tile of 128 m as COPC, of about 8 MB, which lies in the bucket, too."""
    import s3fs

    path = tmp_path_factory.mktemp("tile") / "tile.copc.laz"
    copcs.copc(*copcs.country(420_000), shuffled=False).write(path)
    s3fs.S3FileSystem(skip_instance_cache=True).pipe_file("lidar/tiles/tile.copc.laz", path.read_bytes())
    return path


def test_a_window_of_a_tile_costs_a_part_of_it(bucket: Bucket, tile: Path) -> None:
    bounds = "([500010, 500030], [5599985, 5600005])"
    here = LasReader(filename=str(tile), bounds=bounds).read()
    bucket.asked, bucket.sent = [], 0
    there = LasReader(filename="s3://lidar/tiles/tile.copc.laz", bounds=bounds).read()
    assert there.source.records.tobytes() == here.source.records.tobytes()  # type: ignore[attr-defined]
    assert len(here) > 5000
    assert bucket.sent <= 2_000_000
    assert 0 < len(bucket.gets) <= 15
    assert all(bucket.gets)  # ranges, each of them


def test_a_window_of_a_list_in_the_bucket(bucket: Bucket, tile: Path, tmp_path: Path) -> None:
    import s3fs

    listed = {"type": "FeatureCollection", "features": [{"assets": {"data": {"href": "./tiles/tile.copc.laz"}}}]}
    s3fs.S3FileSystem(skip_instance_cache=True).pipe_file("lidar/all.vpc", json.dumps(listed).encode())
    spec = [{"type": "filters.outlier", "method": "radius", "radius": 0.5}]
    bounds = "([500010, 500020], [5599985, 5599995])"
    bucket.asked, bucket.sent = [], 0
    there = batch(spec, "s3://lidar/all.vpc", tmp_path / "there", bounds=bounds)
    assert not there.failed
    assert bucket.sent <= 2_000_000
    here = batch(spec, tile, tmp_path / "here", bounds=bounds)
    a, b = (LasReader(filename=str(one.written[0])).read() for one in (here, there))
    assert a.source.records.tobytes() == b.source.records.tobytes()  # type: ignore[attr-defined]
    assert len(a) > 1000


def test_what_is_not_there(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAUSE", 0.001)
    for name in ("lidar/none.laz", "nobody/none.laz"):
        with pytest.raises(ReadError, match=rf"s3://{name}: does not exist; check the address") as caught:
            web.opened(f"s3://{name}")
        assert "geheim" not in str(caught.value)
    assert isinstance(servers.server_of("s3://lidar/none.laz"), servers.Store)


def test_what_is_cached_is_asked_for_and_not_fetched(
    bucket: Bucket, tile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBURR_CACHE", str(tmp_path / "cache"))
    bounds = "([500010, 500030], [5599985, 5600005])"
    clouds = []
    for _ in range(2):
        web._kept.clear()
        bucket.asked, bucket.sent = [], 0
        clouds.append(LasReader(filename="s3://lidar/tiles/tile.copc.laz", bounds=bounds).read())
    assert bucket.gets == ["bytes=0-0"]
    assert clouds[0].xyz.tobytes() == clouds[1].xyz.tobytes()
    assert len(clouds[0]) > 5000


def test_heads_are_read_side_by_side(bucket: Bucket, tile: Path, tmp_path: Path) -> None:
    import s3fs

    store = s3fs.S3FileSystem(skip_instance_cache=True)
    for number in range(8):
        store.pipe_file(f"lidar/heads/{number}.copc.laz", tile.read_bytes())
    four, first = threading.Barrier(4), set[str]()

    def meets_three(environ: dict[str, Any]) -> None:
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"] not in first:
            first.add(environ["PATH_INFO"])
            four.wait(60)

    bucket.before = meets_three
    try:
        names = [f"s3://lidar/heads/{number}.copc.laz" for number in range(8)]
        asked = request([{"type": "filters.outlier"}], names, tmp_path / "out")
        assert len(prepare(asked, tmp_path / "scratch").outputs) == 8
    finally:
        bucket.before = None


def test_a_store_that_is_silent(bucket: Bucket, tile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "TIMEOUT", 0.3)
    monkeypatch.setattr(servers, "_STORES", 10**9)
    monkeypatch.setattr(web, "PAUSE", 0.001)
    over = threading.Event()
    bucket.before = lambda environ: over.wait(60)
    web._kept.clear()
    try:
        with pytest.raises(ReadError, match=r"cannot be reached \(no answer in 0.3 seconds\), 4 times"):
            web.opened("s3://lidar/tiles/tile.copc.laz")
    finally:
        bucket.before = None
        over.set()
