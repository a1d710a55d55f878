"""Every reader, and whatever else reads a cloud or a mesh, takes an address where it takes a file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import web as sites
from click.testing import Result
from e57_files import integer, made
from pcds import pcd

from deburr.batch import batch
from deburr.core import web
from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError, WriteError
from deburr.core.registry import by_extension, stage_class
from deburr.core.stage import Reader
from deburr.filters._mesh import read_mesh
from deburr.pipeline import run
from deburr.pipeline.view import view
from deburr.writers.e57 import E57 as E57Writer

Cli = Callable[..., Result]
SECRET = re.compile("geheim|anna|secret|X-Amz")
LOGIN, QUERY = "anna:geheim@", "?X-Amz-Signature=secret"
_XYZ = np.random.default_rng(0).uniform(0, 9, (4000, 3)).round(3)
_LAST = [3.5, 4.25, 5.125]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAUSE", 0.001)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def _ply(kind: str, points: Any, more: str = "") -> bytes:
    head = f"ply\nformat {kind} 1.0\nelement vertex {len(points)}\n"
    head += "".join(f"property double {axis}\n" for axis in "xyz") + more + "end_header\n"
    if kind == "ascii":
        return (head + "".join(f"{x} {y} {z}\n" for x, y, z in points.tolist())).encode()
    return head.encode() + points.astype("<f8").tobytes()


def _rows(points: Any) -> str:
    return "".join(f"{x},{y},{z}\n" for x, y, z in points.tolist())


def _e57() -> bytes:
    fields = [integer(f"cartesian{axis}", -(10**6), 10**6, 0.001) for axis in "XYZ"]
    raw = np.rint(_XYZ * 1000).astype(np.int64)
    return made([{field: raw[:, axis] for axis, field in enumerate(fields)}], image=b"an image" * 900)


FILES: dict[str, bytes] = {
    "ascii.ply": _ply("ascii", _XYZ),
    "binary.ply": _ply("binary_little_endian", _XYZ),
    "old.ply": _ply("ascii", _XYZ).replace(b"\n", b"\r"),
    "a.csv": ("X,Y,Z\n" + _rows(_XYZ)).encode(),
    "a.pts": (f"{len(_XYZ)}\n" + _rows(_XYZ).replace(",", " ")).encode(),
    "a.pcd": pcd([(axis, _XYZ[:, n].astype(np.float32)) for n, axis in enumerate("xyz")], "binary"),
    "a.e57": _e57(),
}


@pytest.fixture
def site() -> Iterator[sites.Site]:
    with sites.served(**FILES) as found:
        yield found


def reader(path: str) -> Reader:
    kind = by_extension("readers", path)
    assert kind is not None
    found = stage_class(kind).model_validate({"filename": path})
    assert isinstance(found, Reader)
    return found


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("name", FILES)
def test_files_are_fetched_once_and_whole(site: sites.Site, tmp_path: Path, name: str, ranges: bool) -> None:
    site.ranges = ranges
    (tmp_path / name).write_bytes(FILES[name])
    here = reader(str(tmp_path / name)).read()
    there = reader(site.url(LOGIN, QUERY, name)).read()
    assert len(here) == len(_XYZ)
    assert there.xyz.tobytes() == here.xyz.tobytes()
    assert {dim: column.tobytes() for dim, column in there.dims.items()} == {
        dim: column.tobytes() for dim, column in here.dims.items()
    }
    assert site.sent == len(FILES[name])
    assert len(site.asked) == (2 if ranges and len(FILES[name]) > web.BLOCK else 1)
    assert not SECRET.search(str(there.history))


@pytest.mark.parametrize("name", FILES)
def test_what_is_wrong_is_one_sentence_without_secrets(site: sites.Site, name: str) -> None:
    for data, fault, said in (
        (FILES[name], sites.status(404), "does not exist .404 Not Found.; check the address"),
        (FILES[name][:60], None, ""),
        (b"", None, ""),
    ):
        web._kept.clear()
        site.files[name], site.faults = data, [fault]
        with pytest.raises(ReadError, match=rf"^http://[^@?]*/{name}: .*{said}") as caught:
            reader(site.url(LOGIN, QUERY, name)).read()
        assert not SECRET.search(str(caught.value))


def test_a_file_that_changes_meanwhile(site: sites.Site) -> None:
    def and_changes(_: sites.Handler) -> None:
        site.etag = '"2"'

    and_changes.goes_on = True  # type: ignore[attr-defined]
    site.faults = [None, and_changes]
    with pytest.raises(ReadError, match=r"ascii\.ply: was changed while it was read"):
        reader(site.url(name="ascii.ply")).read()


def test_images_of_e57_are_copied_from_where_they_lie(site: sites.Site, tmp_path: Path) -> None:
    cloud = reader(site.url(LOGIN, QUERY, "a.e57")).read()
    E57Writer(filename=str(tmp_path / "copy.e57")).write(cloud)
    copy = (tmp_path / "copy.e57").read_bytes()
    assert copy.count(b"an image") > 800
    assert not SECRET.search(copy.decode("latin-1"))
    site.etag = '"2"'
    with pytest.raises(WriteError, match="was changed since it was read, so that its images cannot") as caught:
        E57Writer(filename=str(tmp_path / "other.e57")).write(cloud)
    assert not SECRET.search(str(caught.value))
    assert not (tmp_path / "other.e57").exists()


_FACES = "element face 1\nproperty list uchar int vertex_indices\n"
MESHES = {
    "m.obj": b"v 0 0 0\nv 4 0 0\nv 0 4 0\nf 1 2 3\n",
    "m.ply": _ply("ascii", np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]]), _FACES) + b"3 0 1 2\n",
    "m.stl": b"solid a\nfacet normal 0 0 1\nouter loop\n"
    + b"".join(b"vertex %s\n" % one for one in (b"0 0 0", b"4 0 0", b"0 4 0"))
    + b"endloop\nendfacet\nendsolid a\n",
}


@pytest.mark.parametrize("name", MESHES)
def test_a_mesh_as_reference(site: sites.Site, tmp_path: Path, name: str) -> None:
    site.files[name] = MESHES[name]
    mesh = read_mesh(site.url(LOGIN, QUERY, name))
    assert mesh is not None
    assert mesh.triangles.shape == (1, 3)
    points = np.array([[1.0, 1.0, 0.5], [0.5, 1.0, -0.5], [1.5, 1.0, 0.25], [1.0, 0.5, 0.0]])
    address = site.url(LOGIN, QUERY, name)
    spec = [{"type": "filters.metrics", "reference": address}]
    found = run(spec, points=points, report_dir=tmp_path / "report")
    assert found.report["stages"][-1]["figures"]["now"]["to_reference_max"] == pytest.approx(0.5)
    assert not any(SECRET.search(path.read_text("latin-1")) for path in (tmp_path / "report").iterdir())
    site.faults = [sites.status(404)] * 2
    web._kept.clear()
    with pytest.raises(ReadError, match=rf"^http://[^@?]*/{name}: does not exist .404 Not Found"):
        run(spec, points=points)


def test_a_cloud_as_reference(site: sites.Site) -> None:
    address = site.url(LOGIN, QUERY, "binary.ply")
    moved = _XYZ + np.array([0.0, 0.0, 0.125])
    found = run([{"type": "filters.metrics", "reference": address, "paired": True}], points=moved)
    assert found.report["stages"][-1]["figures"]["now"]["own_rms"] == pytest.approx(0.125)
    assert not SECRET.search(json.dumps(found.report))


def test_commands_take_them(site: sites.Site, tmp_path: Path, cli: Cli) -> None:
    address = site.url(LOGIN, QUERY, "ascii.ply")
    told = [cli("info", address), cli("info", "--summary", address), cli("denoise", address, "clean.ply")]
    told.append(cli("view", address, "clean.ply"))
    told.append(cli("view", address))
    assert [(one.exit_code, one.stderr) for one in told if one.exit_code] == []
    assert reader(str(tmp_path / "clean.ply")).read().xyz.shape == _XYZ.shape
    assert told[-1].stdout.strip() == "ascii.html"
    assert "4,000" in told[0].stdout
    texts = [one.output + one.stderr for one in told] + [path.name for path in tmp_path.rglob("*")]
    texts += [path.read_text("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert not SECRET.search("\n".join(texts))


def test_a_page_of_two_files_of_one_name(site: sites.Site, tmp_path: Path) -> None:
    site.files |= {f"{folder}/ascii.ply": FILES["ascii.ply"] for folder in ("before", "after")}
    names = [site.url(LOGIN, QUERY, f"{folder}/ascii.ply") for folder in ("before", "after")]
    view(names[0], names[1], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "before/ascii.ply" in page
    assert "after/ascii.ply" in page
    assert not SECRET.search(page)


def test_batches_of_them(site: sites.Site, tmp_path: Path) -> None:
    there = _XYZ + np.array([9.0, 0.0, 0.0])
    site.files = {"w.ply": FILES["ascii.ply"], "e.ply": _ply("binary_little_endian", there)}
    for name, data in site.files.items():
        (tmp_path / name).write_bytes(data)
    outliers = {"type": "filters.outlier", "multiplier": 1.0}
    here = batch([outliers], [tmp_path / "w.ply", tmp_path / "e.ply"], tmp_path / "here")
    names = [site.url(LOGIN, QUERY, name) for name in ("w.ply", "e.ply")]
    far = batch([outliers], names, tmp_path / "there")
    assert not here.failed
    assert not far.failed
    clouds: list[list[PointCloud]] = [
        [reader(str(tmp_path / folder / name)).read() for name in ("w.ply", "e.ply")] for folder in ("here", "there")
    ]
    for one, other in zip(*clouds, strict=True):
        assert one.xyz.tobytes() == other.xyz.tobytes()
        assert (one.dims["Classification"] == other.dims["Classification"]).all()
    assert 0 < sum(int((one.dims["Classification"] == 7).sum()) for one in clouds[0]) < 2000
    # Looked at once, and fetched once to be worked on.
    assert site.sent < 2.2 * sum(map(len, site.files.values()))
