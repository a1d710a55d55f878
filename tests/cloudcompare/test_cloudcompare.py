"""What CloudCompare writes is understood, and it sees all that is written for it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import doc_pages
import numpy as np
import pytest

from deburr.core.arrays import Dims
from deburr.core.cloud import PointCloud
from deburr.pipeline import run
from deburr.plugins import handover
from deburr.readers.ply import Ply as Reader
from deburr.writers.ply import Ply as Writer

CloudCompare = Callable[..., None]

COUNT = 800


def scan() -> PointCloud:
    """A noisy floor with every kind of attribute; the first 20 points are noise, the next 20 are withheld."""
    random = np.random.default_rng(2)
    xyz = np.column_stack([random.uniform(0, 5, (COUNT, 2)), random.normal(0, 0.05, COUNT)]).astype(np.float32)
    number = np.arange(COUNT)
    dims: Dims = {
        "Classification": np.where(number < 10, 7, np.where(number < 20, 18, 2)).astype(np.uint8),
        "Withheld": ((number >= 20) & (number < 40)).astype(np.uint8),
        "Intensity": (number * 80).astype(np.uint16),
        "ReturnNumber": (1 + number % 3).astype(np.uint8),
        "PointSourceId": (number % 7).astype(np.uint16),
        "ScanAngleRank": (number % 50 - 25).astype(np.float32),
        "UserData": (number % 256).astype(np.uint8),
        "NoiseLevel": (number / 1024).astype(np.float32),
        "Red": (number % 256).astype(np.uint8),
        "Green": (number % 100).astype(np.uint8),
        "Blue": (number % 50).astype(np.uint8),
        "NormalX": np.zeros(COUNT, np.float32),
        "NormalY": np.zeros(COUNT, np.float32),
        "NormalZ": np.ones(COUNT, np.float32),
    }
    return PointCloud(xyz.astype(np.float64), dims)


def test_it_sees_every_attribute(tmp_path: Path, cloudcompare: CloudCompare) -> None:
    ours, text = tmp_path / "ours.ply", tmp_path / "theirs.asc"
    Writer(filename=str(ours), dialect="cloudcompare").write(scan())
    cloudcompare(ours, text)
    names, *rows = text.read_text().splitlines()
    columns = names.removeprefix("//").split(",")
    table = dict(zip(columns, np.array([row.split(",") for row in rows], np.float64).T, strict=True))
    shown = {"Red": "R", "Green": "G", "Blue": "B", "NormalX": "Nx", "NormalY": "Ny", "NormalZ": "Nz"}
    for name, column in scan().dims.items():
        # It takes normals from a table of directions, and prints nine decimals.
        near = 1e-2 if name.startswith("Normal") else 1e-9
        assert np.abs(table[shown.get(name, name)] - column).max() <= near, name
    assert np.abs(np.column_stack([table[axis] for axis in "XYZ"]) - scan().xyz).max() <= 1e-9


def test_what_it_saves_is_known_and_noise_stays(tmp_path: Path, cloudcompare: CloudCompare) -> None:
    ours, theirs, cleaned = (tmp_path / f"{name}.ply" for name in ("ours", "theirs", "cleaned"))
    Writer(filename=str(ours), dialect="cloudcompare").write(scan())
    cloudcompare(ours, theirs)
    assert b"Created by CloudCompare" in theirs.read_bytes()[:500]
    found = Reader(filename=str(theirs)).read()
    assert found.dims.keys() == scan().dims.keys() - {"NoiseLevel"} | {"scalar_NoiseLevel"}
    result = run([str(theirs), {"type": "filters.spd", "noise": 0.05}, str(cleaned)])
    assert not result.cloud.moved[:40].any()
    assert result.cloud.moved[40:].mean() > 0.9
    again = tmp_path / "again.asc"
    cloudcompare(cleaned, again)
    lines = again.read_text().splitlines()
    assert len(lines) == COUNT + 1
    assert "Classification" in lines[0]


def test_what_it_computes_comes_back(tmp_path: Path, cloudcompare: CloudCompare) -> None:
    ours, theirs, cleaned = (tmp_path / f"{name}.ply" for name in ("ours", "theirs", "cleaned"))
    Writer(filename=str(ours), dialect="cloudcompare").write(scan())
    cloudcompare(ours, theirs, "-ROUGH", "0.5")
    before = theirs.read_bytes()
    run([str(theirs), {"type": "filters.spd", "strength": 0}, str(cleaned)])
    assert cleaned.read_bytes() == before


def test_a_mesh_keeps_its_faces(tmp_path: Path, cloudcompare: CloudCompare) -> None:
    side, height = 30, np.random.default_rng(1).normal(0, 0.1, 900)
    corners = [f"v {i % side} {i // side} {z}" for i, z in enumerate(height.tolist(), start=0)]
    squares = [i + 1 for i in range(side * (side - 1)) if (i + 1) % side]
    (tmp_path / "a.obj").write_text("\n".join([*corners, *(f"f {i} {i + 1} {i + side}" for i in squares), ""]))
    cloudcompare(tmp_path / "a.obj", tmp_path / "a.ply")
    run([str(tmp_path / "a.ply"), {"type": "filters.spd", "noise": 0.1}, str(tmp_path / "b.ply")])
    one, other = (Reader(filename=str(tmp_path / name)).read() for name in ("a.ply", "b.ply"))
    assert (one.xyz != other.xyz).any()
    faces = [cloud.source.others["face"]["vertex_indices"] for cloud in (one, other)]  # type: ignore[attr-defined]
    assert len(faces[0]) == len(squares)
    assert (faces[0].values == faces[1].values).all()


def test_the_plugins_file_goes_through_it(
    tmp_path: Path, cloudcompare: CloudCompare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the plugin writes for deburr: every scalar field, colour and coordinate comes back, far from the origin."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "support" / "cloudcompare"))
    pycc, clouds = (import_module(name) for name in ("pycc", "deburr.plugins.cloudcompare.clouds"))
    local, shift = scan().xyz, np.array([-500_000.0, -5_400_000.0, 0.0])
    cloud = pycc.ccPointCloud(*local.T)
    cloud.setGlobalShift(*shift.tolist())
    names = ("Classification", "Intensity", "My field", "Displacement")
    for number, name in enumerate(names):
        values = cloud.getScalarField(cloud.addScalarField(name)).asArray()
        values[:] = np.where(np.arange(COUNT) % 7 == number, np.nan, np.arange(COUNT) / 64 + number)
    cloud.setColor(7, 8, 9, 255)
    cloud.colors()[:, 1] = np.arange(COUNT) % 256
    cloud.setNormals(np.tile([0.0, 0.6, 0.8], (COUNT, 1)))
    ours, theirs = tmp_path / "ours.ply", tmp_path / "theirs.ply"
    handover.write(ours, clouds.take(cloud).columns())
    cloudcompare(ours, theirs, loading=("-GLOBAL_SHIFT", "AUTO"))

    found, given = Reader(filename=str(theirs)).read(), Reader(filename=str(ours)).read()
    assert (given.xyz == local.astype(np.float32).astype(np.float64) - shift).all()
    # It takes a shift of its own, rounded to hundreds; what is left has the steps of float32 at a hundred.
    assert np.abs(found.xyz - given.xyz).max() < 1e-5
    assert found.dims.keys() == given.dims.keys() - {"Alpha"}
    for name, column in found.dims.items():
        near = 1e-2 if name.startswith("Normal") else 0
        assert np.allclose(column, given.dims[name], rtol=0, atol=near, equal_nan=True), name


def test_without_a_shift_coordinates_snap(tmp_path: Path, cloudcompare: CloudCompare) -> None:
    """What the documentation warns of."""
    far = PointCloud(scan().xyz + np.array([500_000.0, 5_400_000.0, 0.0]), {})
    ours, with_shift, without = (tmp_path / f"{name}.ply" for name in ("ours", "with", "without"))
    Writer(filename=str(ours), dialect="cloudcompare").write(far)
    cloudcompare(ours, with_shift, loading=("-GLOBAL_SHIFT", "AUTO"))
    cloudcompare(ours, without)
    off = [np.abs(Reader(filename=str(path)).read().xyz - far.xyz).max(axis=0) for path in (with_shift, without)]
    assert off[0].max() < 1e-5
    assert 0.01 < off[1][0] < 0.03  # x: steps of 3 cm
    assert 0.1 < off[1][1] < 0.3  # y: of 50 cm


@pytest.mark.slow
def test_the_page_is_followed(tmp_path: Path, cloudcompare: CloudCompare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands of CloudCompare and deburr, in their order, and what it says that they leave."""
    shutil.copytree(doc_pages.ROOT / "sample_data", tmp_path / "sample_data")
    lines = [
        line
        for block in doc_pages.blocks("tutorials/cloudcompare.md")
        for line in block.commands()
        if re.match(r"CloudCompare |pipeline (denoise|run)", line)
    ]
    assert [line.split()[0] for line in lines] == ["pipeline", "CloudCompare", "pipeline", "CloudCompare"]
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    for line in lines:
        program, *words = shlex.split(line)
        command = [sys.executable, "-m", "deburr"] if program == "pipeline" else [program]
        done = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    last = Reader(filename=str(tmp_path / "clean.ply")).read()
    assert np.isfinite(last.dims["scalar_Displacement"]).all()
    assert (tmp_path / "clean.bin").stat().st_size > len(last)
