"""Batches of files on the web: the same as of files here, no more fetched than is needed, and no secrets told."""

from __future__ import annotations

import json
import logging
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import copcs
import lazrs
import numpy as np
import pytest
import web as sites
from click.testing import Result
from clusters import Cluster

from deburr.batch import batch, lists
from deburr.batch.prepare import prepare
from deburr.core import web
from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError, SpecError
from deburr.core.waits import SIDE_BY_SIDE
from deburr.readers.las import LasReader
from deburr.scratch.unpack import unpack
from deburr.writers.copc import CopcWriter
from deburr.writers.las import LasWriter

Cli = Callable[..., Result]
SECRET = re.compile("geheim|anna|secret|X-Amz")
#: Where the four tiles meet, and how wide each is.
MIDDLE, SIDE = (500_000.0, 5_600_000.0), 12.0
#: It looks around, and finds its threshold in all that is worked on; and it is quick.
OUTLIERS = {"type": "filters.outlier", "multiplier": 1.0}
QUARTERS = {"sw": (-1, -1), "se": (0, -1), "nw": (-1, 0), "ne": (0, 0)}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAUSE", 0.001)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def ground(low: Any, high: Any, count: int, seed: int) -> PointCloud:
    """A rolling surface with noise of 3 cm, over the box in plan."""
    random = np.random.default_rng(seed)
    plan = random.uniform(low, high, (count, 2))
    z = np.sin(plan[:, 0] / 4) + np.cos(plan[:, 1] / 5) + random.normal(0, 0.03, count)
    dims: dict[str, Any] = {"Intensity": random.integers(0, 999, count).astype(np.uint16)}
    return PointCloud(np.column_stack([plan, z]), dims, crs="EPSG:32633")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tiles that meet in the middle, as COPC and as LAZ."""
    folder = tmp_path_factory.mktemp("tiles")
    for number, (name, (x, y)) in enumerate(QUARTERS.items()):
        low = np.add(MIDDLE, np.multiply((x, y), SIDE))
        cloud = ground(low, low + SIDE - 0.001, 2500, number)
        CopcWriter(filename=str(folder / f"{name}.copc.laz")).write(cloud)
        LasWriter(filename=str(folder / f"{name}.laz")).write(
            LasReader(filename=str(folder / f"{name}.copc.laz")).read()
        )
    return folder


@pytest.fixture
def site(tiles: Path) -> Iterator[sites.Site]:
    with sites.served() as found:
        found.files = {f"tiles/{path.name}": path.read_bytes() for path in tiles.iterdir()}
        yield found


def vpc(names: list[str], boxes: bool = True) -> bytes:
    """A list of the tiles with these hrefs."""
    features = []
    for href in names:
        quarter = QUARTERS[href.rpartition("/")[2].partition(".")[0]]
        low = np.add(MIDDLE, np.multiply(quarter, SIDE))
        told = {"proj:bbox": [*low.tolist(), 0.0, *(low + SIDE).tolist(), 9.0]} if boxes else {}
        features.append({"type": "Feature", "assets": {"data": {"href": href}}, "properties": told})
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def same(here: Path, there: Path, names: Any) -> int:
    """That both folders have the same outputs, bit by bit but for their dates; how many points they have."""
    count = 0
    for name in names:
        a, b = (LasReader(filename=str(folder / name)).read() for folder in (here, there))
        assert a.source.records.tobytes() == b.source.records.tobytes()  # type: ignore[attr-defined]
        count += len(a)
    return count


def test_a_batch_of_remote_copc_is_that_of_the_local_ones(site: sites.Site, tiles: Path, tmp_path: Path) -> None:
    site.files["lists/all.vpc"] = vpc([f"../tiles/{name}.copc.laz" for name in QUARTERS])
    here = batch([OUTLIERS], sorted(tiles.glob("*.copc.laz")), tmp_path / "here")
    there = batch([OUTLIERS], site.url(name="lists/all.vpc"), tmp_path / "there", workers=2)
    assert not here.failed
    assert not there.failed
    names = [f"{name}.laz" for name in QUARTERS]
    assert sorted(path.name for path in there.written) == sorted(names)
    assert same(tmp_path / "here", tmp_path / "there", names) == 10_000
    assert not (tmp_path / "there" / ".deburr").exists()
    # Heads apart, every byte came once, although points are unpacked and records copied, in two processes.
    for name in QUARTERS:
        path = f"tiles/{name}.copc.laz"
        assert site.given[path] <= 2 * web.BLOCK + 1.05 * len(site.files[path])


@pytest.mark.parametrize("kind", ["copc.laz", "laz"])
def test_bounds_are_cleaned_as_part_of_the_whole(site: sites.Site, tiles: Path, tmp_path: Path, kind: str) -> None:
    x, y = MIDDLE
    bounds = f"([{x - 3}, {x + 4}], [{y - 2}, {y + 5}])"
    site.files["all.vpc"] = vpc([f"tiles/{name}.{kind}" for name in QUARTERS])
    # With a radius that is told, what becomes of a point hangs on its neighbours alone.
    spec = [{"type": "filters.outlier", "method": "radius", "radius": 0.35, "min_k": 6}]
    whole = batch(spec, sorted(tiles.glob(f"??.{kind}")), tmp_path / "whole")
    part = batch(spec, site.url(name="all.vpc"), tmp_path / "part", bounds=bounds)
    assert not whole.failed
    assert not part.failed
    assert len(part.written) == 4
    flagged = 0
    for name in QUARTERS:
        there = LasReader(filename=str(tmp_path / "part" / f"{name}.laz")).read()
        all_of_it = LasReader(filename=str(tmp_path / "whole" / f"{name}.laz")).read()
        inside = ((all_of_it.xyz[:, :2] >= (x - 3, y - 2)) & (all_of_it.xyz[:, :2] <= (x + 4, y + 5))).all(axis=1)
        assert len(there) == inside.sum() > 50
        for dim in ("Intensity", "Classification"):
            assert (all_of_it.dims[dim][inside] == there.dims[dim]).all()
        assert (all_of_it.xyz[inside] == there.xyz).all()
        flagged += int((there.dims["Classification"] == 7).sum())
    assert 5 < flagged < 500
    # Of COPC, parts; of others, what there is.
    given = {name: site.given[f"tiles/{name}.{kind}"] / len(site.files[f"tiles/{name}.{kind}"]) for name in QUARTERS}
    assert max(given.values()) < 2.5


def test_a_bounded_batch_is_the_same_however_it_is_read(site: sites.Site, tiles: Path, tmp_path: Path) -> None:
    x, y = MIDDLE
    bounds = f"([{x - 3}, {x + 4}], [{y - 2}, {y + 5}])"
    here = batch([OUTLIERS], sorted(tiles.glob("??.laz")), tmp_path / "here", bounds=bounds)
    site.files["all.vpc"] = vpc([f"tiles/{name}.copc.laz" for name in sorted(QUARTERS)])
    there = batch([OUTLIERS], site.url(name="all.vpc"), tmp_path / "there", bounds=bounds, tile=3.0, name="{stem}.laz")
    assert not here.failed
    assert not there.failed
    assert same(tmp_path / "here", tmp_path / "there", [f"{name}.laz" for name in QUARTERS]) > 800


def test_what_lies_far_from_the_bounds_is_not_asked_for(site: sites.Site, tiles: Path, tmp_path: Path) -> None:
    far = {"proj:bbox": [0.0, 0.0, 10.0, 10.0]}
    listed = json.loads(vpc([f"tiles/{name}.copc.laz" for name in QUARTERS]))
    listed["features"] += [{"assets": {"data": {"href": "tiles/far.laz"}}, "properties": far}]
    (tmp_path / "all.vpc").write_text(json.dumps(listed).replace("tiles/", f"{site.address}/tiles/"))
    x, y = MIDDLE
    found = batch(
        [OUTLIERS], tmp_path / "all.vpc", tmp_path / "out", bounds=f"([{x + 5}, {x + 9}], [{y + 5}, {y + 9}])"
    )
    assert not found.failed
    assert [path.name for path in found.written] == ["ne.laz"]
    assert "tiles/far.laz" not in site.given
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["inputs"] == [f"{site.address}/tiles/ne.copc.laz"]
    assert len(report["context"]) == 3
    for wrong, said in (("([0, 1], [700, 800])", "no file near the bounds"), ("([0, 1])", "must be"),
                        ("([0, 1], [0, 1], [0, 1])", "heights are not bounded")):  # fmt: skip
        with pytest.raises(SpecError, match=said):
            batch([OUTLIERS], tmp_path / "all.vpc", tmp_path / "other", bounds=wrong)
    with pytest.raises(RunError, match="no input has points in --bounds"):
        batch([OUTLIERS], site.url(name="tiles/ne.laz"), tmp_path / "other", bounds="([0, 1], [0, 1])")


def test_faults_of_one_are_its_own_and_secrets_are_told_nowhere(
    site: sites.Site, tmp_path: Path, cli: Cli, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    names = [
        site.url("anna:geheim@", "?X-Amz-Signature=secret", f"tiles/{name}.copc.laz") for name in ("sw", "gone", "se")
    ]
    (tmp_path / "spec.json").write_text(json.dumps([OUTLIERS]))
    told = [cli("batch", "spec.json", *names, "--out", "out"), cli("batch", "spec.json", *names, "--out", "out")]
    told.append(cli("batch", "spec.json", *names, "--out", "out", "--dry-run"))
    assert [one.exit_code for one in told] == [1, 1, 0]
    assert told[0].stdout.split() == ["out/sw.laz", "out/se.laz"]
    assert re.search(r"tiles/gone.copc.laz: does not exist \(404 Not Found\); check the address", told[0].stderr)
    assert all("Authorization" in headers for headers in site.headers)
    texts = [*(one.output + one.stderr for one in told), caplog.text]
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {"report.json", "report.html", "ledger.jsonl", "tiles.csv"} <= {path.name for path in files}
    assert [path for path in files if path.name.startswith("job-")]  # what scratch is left of a run with failures
    texts += [path.read_bytes().decode("latin-1") for path in files]
    texts += [str(path) for path in files]
    assert not SECRET.search("\n".join(texts))


def test_what_is_done_is_kept_until_the_file_changes(site: sites.Site, tmp_path: Path) -> None:
    def tasks(*tiles: str) -> tuple[int, int]:
        # Signed anew for every run.
        site.sent, signs = 0, len(site.asked)
        names = [site.url(name=f"tiles/{name}.copc.laz", query=f"?{signs}") for name in tiles]
        report = batch([OUTLIERS], names, tmp_path / "out").report
        return report["tasks_done"], report["tasks_resumed"]

    assert tasks("sw", "se")[1] == 0
    assert tasks("sw", "se")[0] == 0
    assert site.sent < 2.5 * web.BLOCK  # heads, and no points
    site.etag = '"2"'
    assert tasks("sw", "se")[1] == 0
    site.etag = None  # then nothing tells whether the file is another
    assert tasks("nw", "ne")[1] == 0
    assert tasks("nw", "ne")[1] == 0


def test_a_file_that_changes_in_between_is_left_out(
    site: sites.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [site.url(name=f"tiles/{name}.copc.laz") for name in ("sw", "se")]

    def and_changes(*words: Any) -> Any:
        found = prepare(*words)
        site.files["tiles/se.copc.laz"] = site.files["tiles/ne.copc.laz"]
        return found

    monkeypatch.setattr("deburr.batch.api.prepare", and_changes)
    found = batch([OUTLIERS], names, tmp_path / "out")
    assert [path.name for path in found.written] == ["sw.laz"]
    (error,) = found.failed.values()
    assert "was changed while it was worked on" in error


@pytest.fixture
def decompressed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many points of LAZ have been decompressed: to be worked on, and else (to be written, in this process)."""
    found, doing = Counter[str](), ["else"]

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(lazrs, name)

        def decompress_points_with_chunk_table(self, data: Any, record: Any, out: Any, table: Any) -> None:
            found[doing[0]] += sum(points for points, _ in table)
            lazrs.decompress_points_with_chunk_table(data, record, out, table)

        def LasZipDecompressor(self, *words: Any) -> Any:
            raise AssertionError("a part of a chunk")

    def told(*words: Any) -> Any:
        doing[0] = "work"
        try:
            return unpack(*words)
        finally:
            doing[0] = "else"

    monkeypatch.setattr("deburr.formats.las.laz.lazrs", Counting())
    monkeypatch.setattr("deburr.scratch.store.unpack", told)
    return found


def meeting(tile: copcs.Copc, low: Any, high: Any) -> int:
    """Points of the chunks that come near the box."""
    count = 0
    for (level, x, y, _), (_, _, points) in tile.nodes.items():
        side = 2 * copcs.HALF / 2**level
        corner = np.subtract(copcs.CENTRE[:2], copcs.HALF) + np.multiply((x, y), side)
        count += points * int((corner <= high).all() and (corner + side >= low).all())
    return count


@pytest.mark.slow
@pytest.mark.parametrize("bounds", [None, "([500000, 500032], [5600000, 5600032])"])
def test_windows_of_a_copc_read_hardly_more_than_its_points(
    tmp_path: Path, bounds: str | None, decompressed: Counter[str]
) -> None:
    whole = copcs.copc(*copcs.country(60_000), shuffled=False)
    with sites.served(whole.data) as site:
        # The cube is 128 m wide.
        side = 16.0 if bounds is None else 4.0
        found = batch([OUTLIERS], site.url(), tmp_path / "out", tile=side, bounds=bounds)
        assert not found.failed
        assert found.report["totals"]["tiles"] >= 64
        assert site.sent <= 1.3 * len(site.data), site.sent / len(site.data)
    points = 60_000 if bounds is None else meeting(whole, (500_000, 5_600_000), (500_032, 5_600_032))
    # Halos cost nothing: what the tiles look at is decompressed once for all of them, and once more to be written.
    assert points <= decompressed["work"] <= 1.3 * points
    assert decompressed["else"] <= 1.0 * points


def test_the_plan_says_what_is_fetched_and_asks_for_heads_alone(site: sites.Site, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "spec.json").write_text(json.dumps([OUTLIERS]))
    names = [site.url(name=f"tiles/{name}.copc.laz") for name in QUARTERS]
    told = cli("batch", "spec.json", *names, "--out", "out", "--dry-run")
    sizes = [len(site.files[f"tiles/{name}.copc.laz"]) for name in QUARTERS]
    assert json.loads(told.stdout)["fetched_gb"] == pytest.approx(sum(sizes) / 1e9, abs=1e-6)
    assert not (tmp_path / "out").exists()
    assert max(site.given.values()) <= 2 * web.BLOCK + 2


def test_the_plan_of_a_window_says_what_its_parts_take(tmp_path: Path, cli: Cli) -> None:
    whole = copcs.copc(*copcs.country(60_000), shuffled=False)
    (tmp_path / "spec.json").write_text(json.dumps([OUTLIERS]))
    words = ("batch", "spec.json", "--bounds", "([500000, 500010], [5600000, 5600010])", "--out", "out")
    with sites.served(whole.data) as site:
        planned = json.loads(cli(*words, site.url(), "--dry-run").stdout)
        heads = site.sent
        assert heads < 0.4 * len(site.data)
        done = cli(*words, site.url())
        assert done.exit_code == 0, done.stderr
        assert 0 < planned["fetched_gb"] * 1e9 < 0.6 * len(site.data)
        # Nothing but heads, and what lies between two parts and costs less than a request.
        assert site.sent - 2 * heads <= planned["fetched_gb"] * 1e9 + 3 * web.GAP
        there = LasReader(filename=str(tmp_path / "out" / "tile.laz")).read()
        inside = ((whole.points["X"] >= 0) & (whole.points["X"] <= 1000)
                  & (whole.points["Y"] >= 0) & (whole.points["Y"] <= 1000)).sum()  # fmt: skip
        assert len(there) == inside > 300


def test_heads_are_read_side_by_side(site: sites.Site, tiles: Path, tmp_path: Path, cli: Cli) -> None:
    names, four = [], threading.Barrier(4)
    for number in range(8):
        name = f"tiles/{number}.copc.laz"
        site.files[name] = (tiles / "sw.copc.laz").read_bytes()
        names.append(site.url(name=name))
    names[2:2] = [site.url(name="tiles/gone.copc.laz")]
    names[6:6] = [str(tiles / "ne.laz")]

    def meets_three(_: sites.Handler) -> None:
        four.wait(60)

    meets_three.goes_on = True  # type: ignore[attr-defined]
    site.faults = [meets_three] * 8
    (tmp_path / "spec.json").write_text(json.dumps([OUTLIERS]))
    told = cli("batch", "spec.json", *names, "--out", "out", "--dry-run")
    assert told.exit_code == 0, told.stderr
    plan = json.loads(told.stdout)
    assert plan["outputs"] == [*(f"{n}.laz" for n in (0, 1, 2, 3, 4)), "ne.laz", *(f"{n}.laz" for n in (5, 6, 7))]
    assert plan["inputs"] == 9
    assert [path.rpartition("/")[2] for path in plan["failed"]] == ["gone.copc.laz"]
    # No head comes twice.
    assert max(given for path, given in site.given.items()) <= 2 * web.BLOCK + 2


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_cached_is_fetched_once_by_all_batches(
    site: sites.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setenv("DEBURR_CACHE", str(tmp_path / "cache"))
    sent = []
    for turn in range(2):
        web._kept.clear()
        site.sent, site.asked = 0, []
        names = [site.url("anna:geheim@", f"?X-Amz-Signature={turn}", f"tiles/{name}.copc.laz") for name in QUARTERS]
        assert not batch([OUTLIERS], names, tmp_path / f"out{turn}", workers=workers).failed
        sent.append(site.sent)
    assert sent[0] >= sum(len(site.files[f"tiles/{name}.copc.laz"]) for name in QUARTERS)
    assert sent[1] == len(site.asked) < 100  # whether they are the same, a byte each
    assert same(tmp_path / "out0", tmp_path / "out1", [f"{name}.laz" for name in QUARTERS]) == 10_000
    for path in (tmp_path / "cache").rglob("*"):
        assert not SECRET.search(str(path.relative_to(tmp_path)))
        assert path.is_dir() or b"geheim" not in path.read_bytes()


def test_an_interrupt_waits_for_no_server(site: sites.Site, tmp_path: Path) -> None:
    asked, over = threading.Semaphore(0), threading.Event()

    def waits(_: sites.Handler) -> None:
        asked.release()
        over.wait(120)

    site.faults = [waits] * 20
    names = [site.url(name=f"tiles/{number}.copc.laz") for number in range(20)]
    words = ["batch", json.dumps([OUTLIERS]), *names, "--out", "out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "deburr.cli.main", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        for _ in range(SIDE_BY_SIDE):
            assert asked.acquire(timeout=60)
        process.send_signal(signal.SIGINT)
        # The server is silent still, and would be for as long as it is allowed to.
        _, said = process.communicate(timeout=25)
    finally:
        over.set()
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert said.endswith("interrupted; no output was left half-written\n")
    assert len(site.asked) == SIDE_BY_SIDE
    assert not list(tmp_path.rglob("*.la?"))


@pytest.mark.slow
def test_workers_on_dask_fetch_for_themselves(site: sites.Site, tiles: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster", 2)
    names = [site.url("anna:geheim@", "?X-Amz-Signature=secret", f"tiles/{name}.copc.laz") for name in QUARTERS]
    try:
        there = batch([OUTLIERS], names, tmp_path / "there", scheduler=cluster.address)
    finally:
        cluster.end()
    assert not there.failed
    batch([OUTLIERS], sorted(tiles.glob("*.copc.laz")), tmp_path / "here")
    assert same(tmp_path / "here", tmp_path / "there", [f"{name}.laz" for name in QUARTERS]) == 10_000
    assert not SECRET.search((tmp_path / "cluster" / "log").read_text(errors="replace"))


def test_a_tender(site: sites.Site, tmp_path: Path, cli: Cli) -> None:
    """docs/how_to/web_stores.md: one window of a catalogue of four tiles, as COPC, opened from a VPC."""
    links = [{"rel": "item", "href": f"./items/{name}.json"} for name in QUARTERS]
    site.files["catalog.json"] = json.dumps({"type": "Catalog", "id": "lidar", "links": links}).encode()
    for name, feature in zip(QUARTERS, json.loads(vpc([f"../tiles/{name}.copc.laz" for name in QUARTERS]))["features"],
                             strict=True):  # fmt: skip
        site.files[f"items/{name}.json"] = json.dumps(feature).encode()
    x, y = MIDDLE
    (tmp_path / "spec.json").write_text(json.dumps([OUTLIERS, "x.copc.laz"]))
    words = (
        "batch",
        "spec.json",
        site.url(name="catalog.json"),
        "--bounds",
        f"([{x - 3}, {x + 3}], [{y - 3}, {y + 3}])",
    )
    planned = cli(*words, "--out", "clean", "--dry-run")
    assert json.loads(planned.stdout)["outputs"] == [f"{name}.copc.laz" for name in QUARTERS]
    done = cli(*words, "--out", "clean", "--vpc")
    assert done.exit_code == 0, done.stderr
    found = lists.read(tmp_path / "clean" / "clean.vpc")
    assert [path.name for path in found] == [f"{name}.copc.laz" for name in QUARTERS]
    clouds = [
        LasReader(filename=str(path), bounds=f"([{x - 1}, {x + 1}], [{y - 1}, {y + 1}])").read() for path in found
    ]
    assert all(len(cloud) > 5 for cloud in clouds)
    again = cli("batch", "spec.json", "clean/clean.vpc", "--out", "again")
    assert again.exit_code == 0, again.stderr
