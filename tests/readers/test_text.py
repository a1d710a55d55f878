"""readers.text: what is found in texts of all kinds, and what is said of those that make no sense."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import PTX, Made, texts

from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError
from deburr.formats.text.file import load
from deburr.formats.text.numbers import PAD, number, parse
from deburr.pipeline import info
from deburr.readers.text import Text


def read(folder: Path, data: bytes | str, name: str = "in.txt", **options: object) -> PointCloud:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return Text.model_validate({"filename": str(path), **options}).read()


def refusal(folder: Path, data: bytes | str, name: str = "in.txt") -> str:
    with pytest.raises(ReadError) as told:
        read(folder, data, name)
    said = str(told.value)
    assert said.startswith(str(folder / name))
    assert "\n" not in said
    return said


_WORDS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e9, 1e9).flatmap(lambda v: st.integers(0, 12).map(lambda d: f"{v:.{d}f}")),
    st.floats(-1e20, 1e20).map("{:g}".format),
    st.integers(-(10**20), 10**20).map(str),
    st.from_regex(r"[+-]?(\d{1,18}\.?\d{0,18}|\.\d{1,18})([eE][+-]?\d{1,3})?", fullmatch=True).filter(str.isascii),
)


@given(st.lists(_WORDS, min_size=1, max_size=40))
def test_numbers_are_the_nearest_float64_as_python_has_it(words: list[str]) -> None:
    text = b" " * PAD + " ".join(words).encode() + b"\n"
    view = np.frombuffer(text, np.uint8)
    edges = np.flatnonzero((view[1:] > 32) != (view[:-1] > 32)) + 1
    found = parse(text, view, edges[0::2], edges[1::2], ord("."))
    assert found.wrong is None
    assert found.values.tobytes() == np.array([float(word) for word in words]).tobytes()


@pytest.mark.parametrize(
    ("word", "decimals"),
    [
        ("1", 0),
        ("1.50", 2),
        ("-.5", 1),
        ("5.", 0),
        ("1.25e1", 1),
        ("1.5e-3", 4),
        ("1e5", -5),
        ("nan", 0),
        ("1e-300", 300),
    ],
)
def test_decimals_are_counted(word: str, decimals: int) -> None:
    assert number(word.encode())[1] == decimals


@pytest.mark.parametrize("word", ["1_0", "0x10", "--1", "1..2", "", ".", "-", "e5", "1e", "٣", "1,5", "9" * 401, "nil"])
def test_what_is_no_number(word: str) -> None:
    with pytest.raises(ValueError, match=r"[\s\S]*"):
        number(word.encode())


@pytest.mark.parametrize("word", ["nan", "-NaN", "-nan(ind)", "1.#QNAN", "-1.#IND00"])
def test_no_numbers_of_other_systems(word: str, tmp_path: Path) -> None:
    cloud = read(tmp_path, f"X,Y,Z,Label\n1,2,3,{word}\n")
    assert np.isnan(cloud.dims["Label"]).all()


@given(texts())
def test_every_value_is_found_where_it_stands(made: Made) -> None:
    table = load(made.data, "x.txt")
    names = [name for name in table.source.layout.dims if name not in "XYZ"]
    columns = dict(zip(table.source.layout.dims, made.values.T, strict=True))
    assert np.array_equal(table.xyz, np.column_stack([columns[name] for name in "XYZ"]))
    for name in names:
        assert np.array_equal(table.dims[name].astype(float), columns[name]), name
    if made.named:
        assert table.source.layout.names == made.names


def test_names_become_pdal_s_with_its_types(tmp_path: Path) -> None:
    cloud = read(
        tmp_path, "x;y [m];Z;i;R;g;Blue;class;nx;Return Number;scalar_GpsTime;mine\n1;2;3;4;5;6;7;8;9;1;0.5;2\n"
    )
    assert cloud.xyz.tolist() == [[1, 2, 3]]
    assert {name: str(column.dtype) for name, column in cloud.dims.items()} == {
        "Intensity": "uint16", "Red": "uint8", "Green": "uint8", "Blue": "uint8", "Classification": "uint8",
        "NormalX": "float64", "ReturnNumber": "uint8", "GpsTime": "float64", "mine": "float64",
    }  # fmt: skip


def test_units_behind_names_are_passed_over(tmp_path: Path) -> None:
    """A last word in brackets; not brackets within a name, not all of it; and a hundred thousand open ones."""
    cloud = read(tmp_path, "x (m),y[ m ],z  (m) ,Intensity [GHz],a(b)c,(d)(e)," + 100_000 * "(" + "\n1,2,3,4,5,6,7\n")
    assert cloud.xyz.tolist() == [[1, 2, 3]]
    assert list(cloud.dims)[:3] == ["Intensity", "a(b)c", "(d)(e)"]


@pytest.mark.parametrize(
    ("row", "dims"),
    [
        ("1 2 3", []),
        ("1 2 3 400", ["Intensity"]),
        ("1 2 3 200 10 0", ["Red", "Green", "Blue"]),
        ("1 2 3 0 0.6 -0.8", ["NormalX", "NormalY", "NormalZ"]),
        ("1 2 3 0.5 10 20 30", ["Intensity", "Red", "Green", "Blue"]),
        ("1 2 3 10 20 30 0.5", ["Red", "Green", "Blue", "Intensity"]),
        ("1 2 3 4 5", ["column4", "column5"]),
    ],
)
def test_columns_without_names_are_guessed_and_said(row: str, dims: list[str], tmp_path: Path) -> None:
    cloud = read(tmp_path, f"{row}\n{row}\n")
    assert list(cloud.dims) == dims
    assert ("option 'header'" in "".join(cloud.history[0].warnings)) == bool(dims)


def test_options_tell_names_separator_and_what_to_pass_over(tmp_path: Path) -> None:
    text = "made by hand\n1 2 3\n4/5/6/7\n"
    cloud = read(tmp_path, text, separator="/", header="Y,X,Intensity,Z", skip=2)
    assert cloud.xyz.tolist() == [[5, 4, 7]]
    assert cloud.dims["Intensity"].tolist() == [6]


def test_a_system_of_coordinates_can_be_told(tmp_path: Path) -> None:
    assert read(tmp_path, "1 2 3\n").crs is None
    assert read(tmp_path, "1 2 3\n", override_srs="EPSG:25832").crs == "EPSG:25832"
    (problem,) = Text(filename="x.xyz", override_srs="nonsense").check(())
    assert "override_srs" in problem
    assert Text(filename="x.xyz", separator="5").check(())


def test_scans_of_a_pts_are_told_apart(tmp_path: Path) -> None:
    cloud = read(tmp_path, "2\n1 2 3 9 1 2 3\n4 5 6 9 1 2 3\n1\n7 8 9 9 1 2 3\n0\n", "in.pts")
    assert cloud.dims["PointSourceId"].tolist() == [1, 1, 2]
    assert cloud.xyz[2].tolist() == [7, 8, 9]
    assert list(cloud.dims)[:4] == ["Intensity", "Red", "Green", "Blue"]
    assert cloud.history[0].figures["scans"] == 3


def test_cloudcompare_s_names_in_a_comment_before_a_count(tmp_path: Path) -> None:
    cloud = read(tmp_path, "//X Y Z R G B Classification\n1\n1 2 3 4 5 6 7\n")
    assert cloud.dims["Classification"].tolist() == [7]
    assert not cloud.active.any()


def test_ptx_comes_in_world_coordinates(tmp_path: Path) -> None:
    cloud = read(tmp_path, PTX, "in.ptx")
    # The scanner looks along y: its x is the world's y, its y is minus the world's x.
    assert cloud.xyz.tolist() == [[10 - 2, 20 + 1, 33], [10 - 5, 20 + 4, 36], [1, 1, 1]]
    assert cloud.rows.tolist() == [0, 2, 4]
    assert cloud.dims["PointSourceId"].tolist() == [1, 1, 2]
    assert cloud.dims["Intensity"].tolist() == [0.5, 0.25, 0.75]
    assert cloud.history[0].figures["without_return"] == 2
    assert not cloud.history[0].warnings


def test_points_without_coordinates(tmp_path: Path) -> None:
    text = "X,Y,Z\n1,2,3\n4,,6\n7,nan,9\n"
    cloud = read(tmp_path, text)
    assert cloud.located.tolist() == [True, False, False]
    assert "2 of 3 points have no coordinates" in cloud.history[0].warnings[0]
    gone = read(tmp_path, text, missing="drop")
    assert gone.xyz.tolist() == [[1, 2, 3]]
    assert gone.extent.count == 1


def test_words_are_no_dimension(tmp_path: Path) -> None:
    cloud = read(tmp_path, 'X,Y,Z,Species\n1,2,3,oak\n4,5,6,"a, b"\n')
    assert not cloud.dims
    assert "'Species' hold words" in cloud.history[0].warnings[0]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", "\r\r\n"])
def test_marks_line_ends_blanks_and_comments(ends: str, tmp_path: Path) -> None:
    text = ends.join(["\ufeff# a table", "höhe: x,y,z", "", "X,Y,Z", "1, 2 ,\t3", "  ", "% note", "4,5,6", "\x1a"])
    cloud = read(tmp_path, text.replace("höhe: x,y,z" + ends, ""))
    assert cloud.xyz.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_names_as_windows_writes_them(tmp_path: Path) -> None:
    assert list(read(tmp_path, "x;y;z;höhe\n1;2;3;4\n".encode("cp1252")).dims) == ["höhe"]


def test_decimal_commas(tmp_path: Path) -> None:
    for text in ("1,5;2,25;3\n4;5;6\n", "1,5 2,25 3\n4 5 6\n", "1;2;3\n4;5,5;6\n"):
        cloud = read(tmp_path, text)
        assert cloud.history[0].figures["decimal_mark"] == "comma"
        assert cloud.xyz[0, 0] in (1, 1.5)
    assert "line 2 has '4.5'" in refusal(tmp_path, "1,5;2;3\n4.5;5;6\n")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", "is empty (0 bytes)"),
        ("hello world\n", "holds no row"),
        ("1 2 3\n4 5\n", "line 2 has 2 values instead of 3 ('4 5')"),
        ("1 2 3\n\n# x\n4 5 6 7\n", "line 4 has 4 values instead of 3"),
        ("1 2 3\n4 five 6\n", "line 2 has 'five' in column 'Y', which is no number"),
        ("1,2,3\n4 5,6\n", "line 2 has 2 values instead of 3"),
        ("1,2,3\n4;5;6\n", "line 2 has 1 values instead of 3"),
        ("1 2 3\n1_0 2 3\n", "line 2 has '1_0'"),
        ("1 2 3\n1 2 " + "9" * 400 + "9\n", "line 2 has '999"),
        ("x,y,q\n1,2,3\n", "none of them Z"),
        ("x,y\n1,2,3\n", "line 2 has 3 values, and line 1 names 2 columns"),
        ("x y z\na b c\n1 2 3\n", "line 2 is neither a row of three numbers or more nor names of columns"),
        ("3\n1 2 3\n", "line 1 announces 3 rows, but 1 lines follow"),
        ("1000000000\n1 2 3\n", "line 1 announces 1,000,000,000 rows"),
        ("1\n1 2 3\n4 5 6\n", "line 3 is one row more than the 1 that are announced"),
        (b"\xff\xfe1\x00 \x002\x00", "UTF-16"),
        (b"1 2 3\n\0", "is not text"),
        (PTX.replace(b"2\r\n2\r\n", b"2000\r\n20000\r\n", 1), "line 1 announces a scan of 2,000 x 20,000 points"),
        (PTX.replace(b"0 1 0 0", b"0 1 0"), "line 7 has 3 values instead of 4"),
        (PTX.replace(b"0 1 0 0", b"0 0 0 0"), "line 7 begins a matrix"),
        (PTX.replace(b"0 1 0 0", b"0 nan 0 0"), "line 7 begins a matrix"),
        (PTX + b"2\r\n", "line 26 does not begin a scan"),
    ],
)
def test_damaged_texts(data: bytes | str, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, data)


def test_a_first_row_that_is_wide_takes_no_memory_for_others(tmp_path: Path) -> None:
    said = refusal(tmp_path, "1 " * 200_000 + "\n" + "1\n" * 200_000)
    assert "line 2 has 1 values instead of 200000" in said


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="does not exist"):
        Text(filename=str(tmp_path / "none.xyz")).read()
    with pytest.raises(ReadError, match="is a folder"):
        Text(filename=str(tmp_path)).read()


def test_the_real_scan(data_dir: Path) -> None:
    cloud = Text(filename=str(data_dir / "data" / "real" / "stanford_bunny_scan.pts")).read()
    assert len(cloud) == 30_571
    assert cloud.xyz[0].tolist() == [-0.037829, 0.12794, 0.004474]
    assert cloud.history[0].figures["decimals"] == [6, 6, 6]
    assert not cloud.history[0].warnings


def test_info_tells_what_was_found(tmp_path: Path) -> None:
    read(tmp_path, "X;Y;Z;Intensity\n" + "".join(f"{i};{i * i % 7},50;{i % 3};{i}\n" for i in range(100)), "in.csv")
    found = info.info(str(tmp_path / "in.csv"))
    told = dict(info.table(found))
    assert told["columns"] == "X, Y, Z, Intensity"
    assert told["separator"] == "semicolon, decimal comma"
    assert told["decimals of x, y, z"] == "0, 2, 0"
    assert told["CRS"] == "none"
    assert found["reader"]["scans"] == 1
    assert math.isfinite(found["spacing"])
