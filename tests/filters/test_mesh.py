"""Distances to meshes: exact in float64, on flat triangles too, whatever the threads, and open to interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError
from deburr.core.progress import listening
from deburr.filters._mesh import CHUNK, Mesh
from deburr.filters.metrics import Metrics

UTM = np.array([500_000.0, 5_200_000.0, 100.0])


def one_by_one(mesh: Mesh, points: Floats) -> Floats:
    """The least of the distances to each triangle."""
    each = [Mesh(mesh.vertices, row[None]).distances(points) for row in mesh.triangles]
    return np.asarray(np.min(each, axis=0))


def test_the_nearest_triangle_is_found_far_from_the_origin() -> None:
    random = np.random.default_rng(0)
    mesh = Mesh(random.uniform(-50, 50, (100, 3)) + UTM, random.integers(0, 100, (150, 3)))
    points = random.uniform(-60, 60, (2000, 3)) + UTM
    found = mesh.distances(points)
    np.testing.assert_allclose(found, one_by_one(mesh, points), rtol=0, atol=4e-9)
    home = Mesh(mesh.vertices - UTM, mesh.triangles).distances(points - UTM)
    np.testing.assert_allclose(found, home, rtol=0, atol=4e-9)  # UTM coordinates are rounded to 1e-9


@pytest.mark.parametrize("height", [0, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-10, 1e-6])
def test_flat_triangles_are_as_near_as_their_edges(height: float) -> None:
    """Cut from plans and solids, flat triangles are common; libigl alone is wrong by a third on some."""
    random = np.random.default_rng(1)
    a, b = random.normal(size=(2, 40, 3))
    c = a + random.random((40, 1)) * (b - a) + height * random.normal(size=(40, 3))
    points = random.normal(size=(1000, 3)) * 2
    longest = np.array([[i, i + 40, i + 40] for i in range(40)])
    for turn in range(3):
        flat = Mesh(np.concatenate([a, b, c]), np.roll(np.arange(120).reshape(3, 40).T, turn, axis=1))
        edges = Mesh(flat.vertices, longest)
        np.testing.assert_allclose(flat.distances(points), edges.distances(points), atol=10 * height + 1e-11)


def test_edges_and_points_as_triangles() -> None:
    vertices = np.array([[0.0, 0, 0], [2, 0, 0], [4, 0, 0], [0, 9, 0]])
    points = np.array([[3.0, 4, 0], [5, 0, 0], [0, 8, 0]])
    assert Mesh(vertices, np.array([[1, 0, 2]])).distances(points).tolist() == [4, 1, 8]
    assert Mesh(vertices, np.array([[3, 3, 3], [0, 1, 1]])).distances(points).tolist() == [17**0.5, 3, 1]


def test_points_beyond_all_measure_are_infinitely_far(tmp_path: Path) -> None:
    mesh = Mesh(np.array([[0.0, 0, 0], [4, 0, 0], [4, 4, 0]]), np.array([[0, 1, 2]]))
    points = np.array([[1e160, 0, 0], [2, 1, 3], [0, -1.7e308, 0]])
    assert mesh.distances(points).tolist() == [np.inf, 3, np.inf]
    path = tmp_path / "far.obj"
    path.write_text("v 0 0 0\nv 4 0 0\nv 4 4 0\nf 1 2 3\n")
    random = np.random.default_rng(0)
    for away in (1e141, 1e160):
        with pytest.raises(RunError, match=r"far\.obj lies more than 1e140 away"):
            Metrics(reference=str(path)).run(PointCloud(random.random((9, 3)) + np.array([away, 0, 0])))


def test_no_number_of_threads_changes_a_bit() -> None:
    code = (
        "import numpy as np, sys; from deburr.filters._mesh import Mesh; r = np.random.default_rng(0);"
        "m = Mesh(r.random((300, 3)), r.integers(0, 300, (500, 3)));"
        "sys.stdout.buffer.write(m.distances(r.random((25_000, 3))).tobytes())"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, "DEBURR_THREADS": count}
        ).stdout
        for count in ("1", "3")
    ]
    assert len(said[0]) == 200_000
    assert said[0] == said[1]


def test_progress_is_told_and_an_interrupt_comes_through() -> None:
    random = np.random.default_rng(0)
    mesh = Mesh(random.random((300, 3)), random.integers(0, 300, (500, 3)))
    points = random.random((200 * CHUNK, 3))
    told: list[tuple[str, int, int]] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with listening(lambda *words: told.append(words)):
            mesh.distances(points[: 2 * CHUNK + 1])
            assert told == [("distances to the mesh", n, 2 * CHUNK + 1) for n in (CHUNK, 2 * CHUNK, 2 * CHUNK + 1)]
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            start = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                mesh.distances(points)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert told[-1][1] < len(points)
    assert time.monotonic() - start < 10
