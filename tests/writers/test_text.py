"""writers.text: what did not change comes out byte by byte, and what has no place in a text is told."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from texts import PTX, Made, texts

from deburr.core.cloud import Extent, PointCloud
from deburr.core.errors import SpecError, WriteError
from deburr.core.merging import merge
from deburr.pipeline import load, run
from deburr.readers.text import Text as Reader
from deburr.testing import contract
from deburr.writers.text import Text

TWICE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def put(folder: Path, data: bytes | str, name: str) -> PointCloud:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return Reader(filename=str(path)).read()


def written(
    folder: Path, cloud: PointCloud, name: str, **options: object
) -> tuple[bytes, tuple[str, ...], dict[str, object]]:
    """The bytes, the warnings and the figures."""
    path = folder / f"out-{name}"
    record = Text.model_validate({"filename": str(path), **options}).write(cloud).history[-1]
    return path.read_bytes(), record.warnings, dict(record.figures)


@TWICE
@given(made=texts())
def test_what_did_not_move_comes_out_byte_by_byte(made: Made, tmp_path: Path) -> None:
    cloud = put(tmp_path, made.data, "in.txt")
    assert written(tmp_path, cloud, "a.txt")[0] == made.data
    # Copies of all columns, and each row asked for by name, change nothing either.
    again = cloud.select(np.arange(len(cloud))).with_dims({name: column.copy() for name, column in cloud.dims.items()})
    assert written(tmp_path, again, "a.txt")[0] == made.data


@TWICE
@given(made=texts(), data=st.data())
def test_only_what_moved_changes(made: Made, data: st.DataObject, tmp_path: Path) -> None:
    cloud = put(tmp_path, made.data, "in.txt")
    hit = np.array(data.draw(st.lists(st.booleans(), min_size=len(cloud), max_size=len(cloud))))
    by = np.where(hit[:, None], np.array(data.draw(st.tuples(*[st.sampled_from([0.0, 1.0, -12.25])] * 3))), 0.0)
    text, warnings, figures = written(tmp_path, cloud.with_xyz(cloud.xyz + by), "b.txt")
    again = put(tmp_path, text, "back.txt")
    source = cloud.source
    decimals = np.array([source.decimals[axis] for axis in source.layout.axes])  # type: ignore[attr-defined]
    assert (np.abs(again.xyz - cloud.xyz - by) <= 0.5000001 * 10.0**-decimals + 1e-8).all()
    assert figures.get("coordinate_rounding_max", 0.0) <= 0.5000001 * 10.0 ** -decimals.min() + 1e-8  # type: ignore[operator]
    for name, column in cloud.dims.items():
        assert np.array_equal(again.dims[name], column)
    before, after = made.data.splitlines(), text.splitlines()
    assert len(before) == len(after)
    assert sum(a != b for a, b in zip(before, after, strict=True)) <= hit.sum()
    assert not warnings


_VALUES = st.one_of(
    st.floats(-1e4, 1e4),
    st.floats(-1e18, 1e18),
    st.integers(-(2**53), 2**53).map(lambda whole: whole / 8),  # middles between two decimals, exactly
    st.integers(-99_999, 99_999).map(lambda whole: whole / 1000 + 0.0005),  # nearly so
    st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.5, 0.25, 1e-300, 1e300, 999.9995, 1e15, 1e15 - 0.5, 9.99999999e14]),
)


@TWICE
@given(rows=st.lists(st.tuples(_VALUES, _VALUES, _VALUES), min_size=1, max_size=30), decimals=st.integers(0, 17))
def test_numbers_are_rounded_as_python_rounds_them(
    rows: list[tuple[float, float, float]], decimals: int, tmp_path: Path
) -> None:
    cloud = PointCloud(np.array(rows))
    text, _, _ = written(tmp_path, cloud, "n.xyz", precision=decimals)
    assert text.decode().splitlines() == [" ".join(f"{value:.{decimals}f}" for value in row) for row in rows]


@TWICE
@given(
    kind=st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "?"]),
    data=st.data(),
)
def test_whole_numbers_are_spelt_with_all_their_digits(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    limits = (0, 1) if kind == "?" else (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    most = st.one_of(st.integers(*limits), st.sampled_from(limits))
    values = data.draw(st.lists(most, min_size=1, max_size=20))
    cloud = PointCloud(np.zeros((len(values), 3)), {"Number": np.array(values, kind)})
    text, _, _ = written(tmp_path, cloud, "w.csv", order="Number", keep_unspecified=False)
    assert text.decode().splitlines()[1:] == list(map(str, values))


def test_a_row_much_longer_than_the_others_is_kept_within_bounds(tmp_path: Path) -> None:
    long = "x" * 3_000_000
    rows = [f"{i}.5 0.5 0.5 {'word' if i else long}" for i in range(3000)]
    cloud = put(tmp_path, "\n".join(rows) + "\n", "in.xyz")
    tracemalloc.start()
    text, _, _ = written(tmp_path, cloud.with_xyz(cloud.xyz + 1), "x.xyz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text.decode().splitlines() == [f"{i + 1}.5 1.5 1.5 {'word' if i else long}" for i in range(3000)]
    assert peak < 300e6


def _strip(number: int, count: int) -> PointCloud:
    random = np.random.default_rng(number)
    dims = {"Intensity": random.integers(0, 999, count).astype(np.uint16), "Red": np.full(count, number, np.uint16)}
    return PointCloud(random.uniform(0, 100, (count, 3)), dims, crs="EPSG:28992")


@pytest.mark.parametrize("name", ["a.csv", "a.xyz", "a.pts", "a.ptx"])
def test_parts_are_written_as_one_cloud(name: str, tmp_path: Path) -> None:
    parts = [_strip(number, count) for number, count in enumerate((70_000, 1, 0, 300, 900))]
    whole, _ = merge(parts)
    text, warnings, figures = written(tmp_path, whole, name)
    path = tmp_path / f"parts-{name}"
    record = Text(filename=str(path)).write_parts(iter(parts), whole.extent).history[-1]
    assert path.read_bytes() == text
    assert [said.replace("parts-", "out-") for said in record.warnings] == list(warnings)
    assert record.figures == figures


def test_parts_are_not_held_in_memory(tmp_path: Path) -> None:
    count = 100_000
    extent = Extent(20 * count, np.zeros(3), np.full(3, 100.0))
    tracemalloc.start()
    Text(filename=str(tmp_path / "a.csv")).write_parts((_strip(number, count) for number in range(20)), extent)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "a.csv").read_bytes().count(b"\n") == 20 * count + 1
    assert peak < 40e6  # all coordinates and dimensions are 56 MB


def test_where_a_part_fails_the_file_that_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def parts() -> Iterator[PointCloud]:
        yield _strip(0, 10)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        Text(filename=str(path)).write_parts(parts(), Extent(20, np.zeros(3), np.full(3, 100.0)))
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]


@TWICE
@given(made=texts(), data=st.data())
def test_rows_can_go_and_change_places(made: Made, data: st.DataObject, tmp_path: Path) -> None:
    cloud = put(tmp_path, made.data, "in.txt")
    places = data.draw(st.permutations(range(len(cloud))))[: data.draw(st.integers(1, len(cloud)))]
    picked = cloud.select(np.array(places))
    again = put(tmp_path, written(tmp_path, picked, "c.txt")[0], "back.txt")
    assert again.xyz.tobytes() == picked.xyz.tobytes()


@pytest.mark.parametrize("name", ["in.ptx", "in.pts", "in.xyz", "in.csv"])
def test_a_pipeline_that_moves_nothing_changes_no_byte(name: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [f"{x:.3f} {y:.3f} {z:.4f} {i}" for i, (x, y, z) in enumerate(random.normal(0, 1, (300, 3)).tolist())]
    text = {
        "in.xyz": "\n".join(rows),
        "in.csv": "X,Y,Z,Intensity\r\n" + "\r\n".join(row.replace(" ", ",") for row in rows) + "\r\n\r\n# end",
        "in.pts": "100\n" + "\n".join(rows[:100]) + "\n200\n" + "\n".join(rows[100:]) + "\n",
        "in.ptx": "30\n10\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n0 1 0 0\n-1 0 0 0\n0 0 1 0\n5 6 7 1\n" + "\n".join(
            "0 0 0 0.5" if i % 7 == 0 else row for i, row in enumerate(rows)) + "\n",
    }[name]  # fmt: skip
    (tmp_path / name).write_bytes(text.encode())
    out = tmp_path / f"out-{name}"
    run([str(tmp_path / name), {"type": "filters.spd", "strength": 0, "noise": 0.01}, str(out)])
    assert out.read_bytes() == text.encode()


def test_counts_follow_the_rows_of_a_pts(tmp_path: Path) -> None:
    cloud = put(tmp_path, " 2 \n1 2 3\n4 5 6\n1\n7 8 9", "in.pts")
    assert written(tmp_path, cloud.select(np.array([2, 1])), "a.pts")[0] == b" 1 \n4 5 6\n1\n7 8 9"
    assert written(tmp_path, cloud.select(np.array([], int)), "a.pts")[0] == b" 0 \n0\n"


def test_a_grid_keeps_its_pixels(tmp_path: Path) -> None:
    cloud = put(tmp_path, PTX, "in.ptx")
    assert written(tmp_path, cloud, "a.ptx")[0] == PTX
    spaced = PTX.replace(b"10 20 30 1\r\n", b"10 20 30 1\r\n\r\n# rows\r\n")
    turned = put(tmp_path, spaced, "in.ptx")
    assert written(tmp_path, turned.with_xyz(turned.xyz + 0), "a.ptx")[0] == spaced
    cloud = put(tmp_path, PTX, "in.ptx")
    assert written(tmp_path, cloud.select(np.array([2, 1, 0])), "a.ptx")[0] == PTX
    moved = cloud.with_xyz(cloud.xyz + np.array([[0, 0, 0], [0.5, 0.25, 1], [0, 0, 0]]))
    # The world's x is minus the scanner's y, the world's y its x.
    assert written(tmp_path, moved, "a.ptx")[0] == PTX.replace(b"4.000 5.000 6 ", b"4.250 4.500 7.000 ")
    gone = written(tmp_path, cloud.select(np.array([0, 2])), "a.ptx")[0]
    assert gone == PTX.replace(b"4.000 5.000 6 ", b"0.000 0.000 0.000 ")
    assert len(put(tmp_path, gone, "back.ptx")) == 2


def test_new_columns_follow_where_columns_have_names(tmp_path: Path) -> None:
    cloud = put(tmp_path, "X;Y;Z\n1,5;2;3;\n4;5;6\n", "in.csv").with_dims(
        {"Classification": np.array([7, 2], np.uint8)}
    )
    text, warnings, _ = written(tmp_path, cloud, "a.csv")
    assert text == b"X;Y;Z;Classification\n1,5;2;3;7;\n4;5;6;2\n"
    assert not warnings
    assert put(tmp_path, text, "back.csv").dims["Classification"].tolist() == [7, 2]
    nameless = put(tmp_path, "1 2 3\n4 5 6\n", "in.xyz").with_dims({"Classification": np.array([7, 2], np.uint8)})
    text, warnings, _ = written(tmp_path, nameless, "a.xyz")
    assert text == b"1 2 3\n4 5 6\n"
    assert "no place for Classification" in warnings[0]


def test_values_that_a_stage_changed(tmp_path: Path) -> None:
    cloud = put(tmp_path, "X,Y,Z,Classification,nx\n1,2,3, 1,0.10\n4,5,6, 2,0.20\n", "in.csv")
    changed = cloud.with_dims({"Classification": np.array([1, 7], np.uint8), "NormalX": np.array([0.987, 0.2])})
    text, _, _ = written(tmp_path, changed, "a.csv")
    assert text == b"X,Y,Z,Classification,nx\n1,2,3, 1,0.99\n4,5,6, 7,0.20\n"


def test_a_cloud_from_elsewhere(tmp_path: Path) -> None:
    cloud = contract.surface(20)
    text, warnings, figures = written(tmp_path, cloud, "a.csv")
    assert text.splitlines()[0] == b'"X","Y","Z","Classification","Withheld","Intensity","GpsTime"'
    again = put(tmp_path, text, "back.csv")
    assert np.abs(again.xyz - cloud.xyz).max() <= 1e-7
    assert 0 < figures["coordinate_rounding_max"] <= 1e-7  # type: ignore[operator]
    for name, column in cloud.dims.items():
        assert again.dims[name].tobytes() == column.tobytes()
    assert not warnings
    text, warnings, _ = written(tmp_path, cloud, "a.xyz")
    assert len(text.splitlines()[0].split()) == 3
    assert "no place for Classification, Withheld, Intensity, GpsTime" in warnings[0]


def test_pts_and_ptx_from_elsewhere(tmp_path: Path) -> None:
    dims = {
        "Blue": np.array([65535, 0], np.uint16),
        "Red": np.array([1, 2], np.uint16),
        "Green": np.zeros(2, np.uint16),
    }
    cloud = PointCloud([[1, 2, 3], [4, 5, np.nan]], {**dims, "Intensity": np.array([0, 65535], np.uint16)})  # type: ignore[arg-type]
    text, warnings, _ = written(tmp_path, cloud.select(np.array([0])), "a.pts", precision=1)
    assert text == b"1\n1.0 2.0 3.0 0 1 0 255\n"
    assert "Blue is written as a byte" in warnings[0]
    text, warnings, _ = written(tmp_path, cloud, "a.ptx", precision=1)
    assert text.splitlines()[10:] == [b"1.0 2.0 3.0 0.000000 1 0 255", b"0.0 0.0 0.0 1.000000 2 0 0"]
    assert len(put(tmp_path, text, "back.ptx")) == 1


def test_options_of_pdal(tmp_path: Path) -> None:
    cloud = contract.surface(10).select(np.arange(2))
    text, warnings, _ = written(
        tmp_path, cloud, "a.txt", order="Intensity, Z:1,Y:2,X:0", keep_unspecified=False, delimiter=";", newline="\r\n",
        quote_header=False,
    )  # fmt: skip
    x, y, z = cloud.xyz[0].tolist()
    first = f"{cloud.dims['Intensity'][0]};{z:.1f};{y:.2f};{x:.0f}"
    assert text.decode().split("\r\n")[:2] == ["Intensity;Z;Y;X", first]
    assert "option 'order' has no place for Classification" in warnings[0]
    text, _, _ = written(tmp_path, cloud, "a.xyz", write_header=True, precision=3)
    assert text.splitlines()[0].split()[3] == b'"Classification"'
    with pytest.raises(WriteError, match="no dimension 'Nope'"):
        written(tmp_path, cloud, "a.csv", order="X,Nope")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"order": "X,Y,X"}, "option 'order' has 'X'"),
        ({"order": "X:a"}, "option 'order' has 'X:a'"),
        ({"order": "X:"}, "option 'order' has 'X:'"),
        ({"order": "X:123"}, "option 'order' has 'X:123'"),
        ({"order": "X: 1:2"}, "option 'order' has 'X: 1:2'"),
        ({"order": "X,,Y"}, "option 'order' has ''"),
        # Blanks of which each might be where the name ends.
        ({"order": "X" + 100_000 * " " + "Y:Z"}, "option 'order' has 'X  "),
        ({"delimiter": "."}, "option 'delimiter'"),
        ({"newline": " "}, "option 'newline'"),
        ({"filename": "x.pts", "order": "X,Y,Z"}, "option 'order' has no effect on .pts"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=r"writers\.text") as told:
        load(["in.csv", {"type": "writers.text", "filename": "x.csv", **options}])
    assert said in str(told.value)


def test_what_text_cannot_hold_is_told(tmp_path: Path, data_dir: Path) -> None:
    cloud = run([str(data_dir / "data" / "lidar" / "pdal_4_6_crop.las")]).cloud
    _, warnings, _ = written(tmp_path, replace(cloud, crs="EPSG:25832"), "a.csv")
    assert "cannot hold the coordinate system" in warnings[0]
    grid = put(tmp_path, PTX, "in.ptx")
    _, warnings, _ = written(tmp_path, grid, "a.csv")
    assert "no place for the grids of 2 scans" in warnings[0]


def test_rows_twice_and_coordinates_that_were_lost_are_refused(tmp_path: Path) -> None:
    cloud = put(tmp_path, "1 2 3\n4 5 6\n", "in.xyz")
    with pytest.raises(WriteError, match="rows of the text twice"):
        written(tmp_path, cloud.select(np.array([0, 0])), "a.xyz")
    with pytest.raises(WriteError, match="not finite"):
        written(tmp_path, cloud.with_xyz(np.full((2, 3), np.nan)), "a.xyz")
    assert not list(tmp_path.glob("out-*"))


@pytest.mark.filterwarnings("ignore::deburr.core.errors.DeburrWarning")
@pytest.mark.parametrize("target", ["out.laz", "out.ply", "out.csv", "out.xyz", "out.pts", "out.ptx"])
def test_every_text_becomes_every_other_format(target: str, tmp_path: Path) -> None:
    plain = "".join(f"{i % 10}.25 {i // 10}.5 0.1 {i}\n" for i in range(100))
    sources = {
        "in.xyz": plain, "in.pts": "100\n" + plain, "in.csv": "X,Y,Z,Intensity\n" + plain.replace(" ", ","),
        "in.ptx": "10\n10\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n" + plain,
    }  # fmt: skip
    for name, text in sources.items():
        cloud = put(tmp_path, text, name)
        run([str(tmp_path / name), str(tmp_path / target)])
        again = run([str(tmp_path / target)]).cloud
        assert np.abs(again.xyz - cloud.xyz).max() < 1e-6
        if target != "out.xyz" or name == "in.xyz":
            share = 65535 if target == "out.ptx" and name != "in.ptx" else 1
            assert again.dims["Intensity"] * share == pytest.approx(cloud.dims["Intensity"], abs=0.04)


def test_the_real_scan_comes_out_as_it_was(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "data" / "real" / "stanford_bunny_scan.pts"
    run([str(path), str(tmp_path / "a.pts")])
    assert (tmp_path / "a.pts").read_bytes() == path.read_bytes()
    cloud = Reader(filename=str(path)).read()
    text, _, figures = written(tmp_path, cloud.with_xyz(cloud.xyz * 1.001), "b.pts")
    assert figures["coordinate_rounding_max"] <= 0.51e-6  # type: ignore[operator]
    assert np.abs(put(tmp_path, text, "back.pts").xyz - cloud.xyz * 1.001).max() <= 0.51e-6
