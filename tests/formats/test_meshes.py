"""Mesh files: every face is read and becomes triangles that cover it, or one sentence says why not."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deburr.core.errors import ReadError
from deburr.filters._mesh import Mesh, read_mesh
from deburr.formats.mesh.polygons import triangulated
from deburr.formats.ply.header import Lists

SQUARE = [(0, 0, 0), (4, 0, 0), (4, 4, 0), (0, 4, 0)]
#: Three quarters of the square: whatever reaches across the missing quarter is wrong.
ANGLE = [(0, 0, 0), (4, 0, 0), (4, 2, 0), (2, 2, 0), (2, 4, 0), (0, 4, 0)]


def mesh(path: Path, content: bytes | str) -> Mesh:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = read_mesh(str(path))
    assert found is not None
    return found


def refusal(path: Path, content: bytes | str) -> str:
    with pytest.raises(ReadError) as caught:
        mesh(path, content)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def area(found: Mesh) -> float:
    a, b, c = np.moveaxis(found.vertices[found.triangles], 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def ply(faces: list[tuple[int, ...]], kind: str = "ascii", corners: list[tuple[int, int, int]] = SQUARE) -> bytes:
    xyz = "".join(f"property double {axis}\n" for axis in "xyz")
    list_of = "property list uchar int vertex_indices\nproperty uchar red\n"
    head = (
        f"ply\nformat {kind} 1.0\nelement vertex {len(corners)}\n{xyz}element face {len(faces)}\n{list_of}end_header\n"
    )
    if kind == "ascii":
        rows = [*corners, *((len(face), *face, 255) for face in faces)]
        return (head + "".join(" ".join(map(str, row)) + "\n" for row in rows)).encode()
    order = "<" if "little" in kind else ">"
    body = b"".join(struct.pack(f"{order}3d", *corner) for corner in corners)
    body += b"".join(struct.pack(f"{order}B{len(face)}iB", len(face), *face, 255) for face in faces)
    return head.encode() + body


def facet(*corners: tuple[int, int, int]) -> str:
    lines = "".join(f"vertex {x} {y} {z}\n" for x, y, z in corners)
    return f"facet normal 0 0 1\nouter loop\n{lines}endloop\nendfacet\n"


def binary_stl(count: int, facets: int, tail: bytes = b"") -> bytes:
    one = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 4, 0, 0, 4, 4, 0, 0)
    return b"solid it is not".ljust(80) + struct.pack("<I", count) + one * facets + tail


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_with_faces_of_any_size(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "in.ply"
    assert area(mesh(path, ply([(0, 1, 2), (0, 2, 3)], kind))) == 16
    assert area(mesh(path, ply([(0, 1, 2, 3)], kind))) == 16
    mixed = mesh(path, ply([(0, 1, 2), (0, 1, 2, 3), (0, 2, 3)], kind))
    assert (area(mixed), len(mixed.triangles)) == (32, 4)
    assert area(mesh(path, ply([(0, 1, 2, 3, 4, 5)], kind, ANGLE))) == 12
    whole = ply([(0, 1, 2), (0, 2, 3)], kind)
    refusal(path, whole[:-6])
    assert "truncated" in refusal(path, whole[: -len("3 0 2 3 255\n")])


def test_ply_whose_faces_are_none(tmp_path: Path) -> None:
    path = tmp_path / "in.ply"
    assert "holds no triangles" in refusal(path, ply([(0, 1)]))
    assert "holds no triangles" in refusal(path, ply([(0, 1, 2)]).replace(b"vertex_indices", b"patches"))
    assert "faces without vertices" in refusal(path, ply([(0, 1, 4)]))
    assert "faces without vertices" in refusal(path, ply([(0, 1, -1)]))
    fraction = ply([(0, 1, 2)]).replace(b"uchar int vertex", b"uchar float vertex")
    assert area(mesh(path, fraction)) == 8
    assert "no whole number" in refusal(path, fraction.replace(b"3 0 1 2", b"3 0 1 1.5"))
    path.write_bytes(ply([]))
    assert read_mesh(str(path)) is None


def test_obj_as_programs_write_it(tmp_path: Path) -> None:
    path = tmp_path / "in.obj"
    corners = "".join(f"v {x} {y} {z} 1.0\n" for x, y, z in SQUARE)
    faces = "usemtl a\ng one\nf 1/1/1 2/1/1 3/1/1 # lower\nusemtl b\n  f\t1//1 3//1 \\\n 4//1\n"
    assert area(mesh(path, f"# comment\nmtllib none.mtl\nvt 0 0\nvn 0 0 1\n{corners}{faces}")) == 16
    assert area(mesh(path, f"{corners}f 1 2 3 4\nf 1 2 3\n".replace("\n", "\r\n"))) == 24
    # Counted back from where the face stands, not from the end of the file.
    back = mesh(path, f"{corners}f -4 -3 -2\nv 9 9 9\nv 9 9 8\nf 1 3 4\n")
    assert back.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    far = mesh(path, "v 500000.123 5400000.456 0\nv 500004.123 5400000.456 0\nv 500004.123 5400004.456 0\nf 1 2 3")
    assert far.vertices[0].tolist() == [500000.123, 5400000.456, 0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty (0 bytes)"),
        ("v 0 0 0\nv 1 0 0\nf 1 2\n", "holds no triangles"),
        ("v 0 0 0\nv 1 0\n", "'v 1 0' is no vertex"),
        ("v 0 0 zero\n", "'v 0 0 zero' is no vertex"),
        ("v 0 0 1_0\n", "is no vertex"),
        ("v 0 0 0\nf 1 x 1\n", "'f 1 x 1' is no face"),
        ("v 0 0 0\nf 0 1 1\n", "is no face"),
        (f"v 0 0 0\nf 1 1 {10**30}\n", "is no face"),
        ("v 0 0 0\nf 1 1 2\n", "faces without vertices"),
        ("v 0 0 0\nf 1 1 -2\n", "faces without vertices"),
        ("v 0 0 nan\nf 1 1 1\n", "not finite"),
        ("v 0 0 1e99\nf 1 1 1\n", "check the units"),
    ],
)
def test_damaged_obj_is_one_sentence(tmp_path: Path, content: str, said: str) -> None:
    assert said in refusal(tmp_path / "in.obj", content)


def test_stl_binary_and_text(tmp_path: Path) -> None:
    path = tmp_path / "in.stl"
    assert area(mesh(path, binary_stl(3, 3))) == 24
    a, b, c, d = SQUARE
    parts = f"solid a vertex of solid\n{facet(a, b, c)}endsolid\nsolid\n{facet(a, c, d)}"
    assert area(mesh(path, parts)) == 16
    assert area(mesh(path, parts.upper().replace("\n", "\r"))) == 16


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (binary_stl(0, 0), "holds no triangles"),
        (binary_stl(3, 2, b"cut")[5:], "no STL file"),
        (b"x" * 200, "no STL file"),
        (b"solid nothing", "holds no triangles"),
        (f"solid s\n{facet(*SQUARE)}", "not three corners"),
        (f"solid s\n{facet(*SQUARE[:3])[:-30]}", "middle of a facet"),
        (f"solid s\n{facet(*SQUARE[:3])}".replace("4 0 0", "4 0"), "'vertex 4 0' is no vertex"),
    ],
)
def test_damaged_stl_is_one_sentence(tmp_path: Path, content: bytes | str, said: str) -> None:
    assert said in refusal(tmp_path / "in.stl", content)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.obj"
    path.write_text("v 0 0 0\n")

    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("deburr.core.reading.open", refuse, raising=False)
    with pytest.raises(ReadError, match=r"in\.obj: cannot be read \(Permission denied\)"):
        read_mesh(str(path))


@pytest.mark.parametrize("seed", range(20))
def test_triangles_of_a_polygon_cover_it_and_nothing_else(seed: int) -> None:
    """Spirals and stars of up to 40 corners, anywhere in space, from any corner on, turning either way."""
    random = np.random.default_rng(seed)
    n = int(random.integers(4, 41))
    angles = np.sort(random.uniform(0, 2 * np.pi, n))
    star = random.uniform(0.1, 1, (n, 1)) * np.column_stack([np.cos(angles), np.sin(angles)])
    turns = np.linspace(0, 3 * np.pi, n)
    arm = np.column_stack([np.cos(turns), np.sin(turns)])
    spiral = np.concatenate([arm * (1 + turns)[:, None], (arm * (0.5 + turns)[:, None])[::-1]])
    for flat in (star, spiral):
        x, y = flat.T
        truth = abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)
        turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
        vertices = np.column_stack([flat, np.zeros(len(flat))]) @ turn + [5e5, 5e6, 100]
        corners = np.roll(np.arange(len(flat)), seed)[:: random.choice([-1, 1])]
        found = triangulated(vertices, Lists(np.array([len(flat)]), corners))
        assert len(found) == len(flat) - 2
        assert area(Mesh(vertices, found)) == pytest.approx(truth, rel=1e-6)
        edges = {frozenset(pair) for row in found.tolist() for pair in pairwise([*row, row[0]])}
        assert all(frozenset(pair) in edges for pair in pairwise([*corners.tolist(), int(corners[0])]))


def test_a_polygon_that_crosses_itself_or_has_no_area_loses_no_triangle() -> None:
    bow = np.array([(0, 0, 0), (4, 4, 0), (4, 0, 0), (0, 4, 0), (2, 9, 0.0)])
    assert len(triangulated(bow, Lists(np.array([5]), np.arange(5)))) == 3
    line = np.column_stack([np.arange(6.0), np.zeros((6, 2))])
    assert len(triangulated(line, Lists(np.array([6]), np.arange(6)))) == 4
