"""What words on the command line stand for, what outputs are called, and which files can be merged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deburr.batch import prepare as batch_prepare
from deburr.batch.inputs import expand
from deburr.batch.names import cell_names, out_names
from deburr.batch.prepare import Request
from deburr.core.cloud import Extent, PointCloud
from deburr.core.errors import SpecError
from deburr.core.registry import extensions
from deburr.core.stage import Outline
from deburr.pipeline.compatible import check_alike
from deburr.pipeline.plan import load
from deburr.writers.las import LasWriter


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files without content, which is not looked at here, and the working folder."""
    names = "b.laz a.las c.PLY d.copc.laz .hidden.laz notes.doc notes.txt tiles.csv sub/e.laz sub/deep/f.las"
    for name in names.split():
        (tmp_path / "tiles" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tiles" / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tiles"


def problems(*words: str, **more: Any) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        expand(words, **more)
    return caught.value.errors


def test_a_folder_gives_its_clouds_by_name(folder: Path) -> None:
    assert [path.name for path in expand([str(folder)])] == ["a.las", "b.laz", "c.PLY", "d.copc.laz"]


def test_words_keep_their_order(folder: Path) -> None:
    found = expand(["tiles/b.laz", "tiles/sub", "tiles/a.las"])
    assert found == [Path("tiles/b.laz"), Path("tiles/sub/e.laz"), Path("tiles/a.las")]


def test_globs(folder: Path) -> None:
    assert expand(["tiles/*.la[sz]"]) == [Path("tiles/a.las"), Path("tiles/b.laz"), Path("tiles/d.copc.laz")]
    assert [path.name for path in expand(["tiles/**/*.las"])] == ["a.las", "f.las"]
    assert [path.name for path in expand(["tiles/sub/*"])] == ["e.laz"]


def test_what_may_be_something_else_is_taken_when_it_is_named(folder: Path) -> None:
    assert expand(["tiles/notes.txt", "tiles/*.csv"]) == [Path("tiles/notes.txt"), Path("tiles/tiles.csv")]
    assert [path.name for path in expand(["tiles/*"])] == ["a.las", "b.laz", "c.PLY", "d.copc.laz"]


def test_a_name_like_a_glob_is_a_name(folder: Path) -> None:
    (folder / "x[1].laz").touch()
    assert expand(["tiles/x[1].laz"]) == [Path("tiles/x[1].laz")]


def test_a_virtual_point_cloud_gives_its_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deburr.batch import lists

    (folder / "all.vpc").write_text("{}")
    monkeypatch.setattr(lists, "read", lambda path, _: [Path(path).with_name(name) for name in ("b.laz", "a.las")])
    assert expand(["tiles/all.vpc"]) == [Path("tiles/b.laz"), Path("tiles/a.las")]
    monkeypatch.setattr(lists, "read", lambda path, _: [Path(path).with_name("notes.doc")])
    (problem,) = problems("tiles/all.vpc")
    assert problem.startswith("tiles/all.vpc: names tiles/notes.doc, which has no extension that is known")


def test_a_damaged_virtual_point_cloud_is_one_problem_of_many(folder: Path) -> None:
    (folder / "bad.vpc").write_text("no json")
    first, second = problems("tiles/bad.vpc", "tiles/nothing.laz")
    assert first.startswith("tiles/bad.vpc: is no virtual point cloud")
    assert second.startswith("tiles/nothing.laz: does not exist")


def test_all_problems_at_once(folder: Path) -> None:
    (folder / "empty").mkdir()
    found = problems("tiles/a.lsa", "tiles/notes.doc", "tiles/*.xyz", "tiles/*.doc", "tiles/empty")
    known = ", ".join(f".{extension}" for extension in sorted(extensions("readers")))
    assert found == (
        "tiles/a.lsa: does not exist; did you mean 'a.las'?",
        f"tiles/notes.doc: has no extension that is known ({known}); rename or convert it",
        f"tiles/*.xyz: matches no point clouds ({known}) and no other file; check the pattern",
        f"tiles/*.doc: matches no point clouds ({known}) but other files; check the pattern",
        f"tiles/empty: this folder holds no point clouds ({known}); name another",
    )
    assert problems() == ("no inputs are given; name files, folders, globs or a .vpc file",)


def test_a_file_named_twice_is_refused_through_links_too(folder: Path) -> None:
    assert problems("tiles/a.las", "tiles/*.las") == ("tiles/a.las: is named twice; name it once",)
    (folder / "link.las").symlink_to(folder / "a.las")
    (folder / "hard.las").hardlink_to(folder / "a.las")
    found = problems("tiles/*.las")
    assert found == (
        "tiles/hard.las: is named twice, also as tiles/a.las; name it once",
        "tiles/link.las: is named twice, also as tiles/a.las; name it once",
    )


def test_a_broken_link_in_a_folder_is_not_passed_over(folder: Path) -> None:
    (folder / "gone.laz").symlink_to(folder / "nowhere.laz")
    assert problems("tiles") == (
        "tiles/gone.laz: is no file, or a link to none; remove it, or name the files themselves",
    )


def test_context_leaves_out_the_inputs(folder: Path) -> None:
    inputs = expand(["tiles/b.laz"])
    assert [path.name for path in expand(["tiles"], known=inputs)] == ["a.las", "c.PLY", "d.copc.laz"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read all folders")
def test_a_folder_that_may_not_be_read(folder: Path) -> None:
    (folder / "sub").chmod(0)
    (problem,) = problems("tiles/sub")
    assert problem.startswith("tiles/sub: cannot be read (Permission denied)")


LOWS = [np.array([84_808.3, 447_412.8, 0.0]), np.array([-0.5, 12.0, 0.0])]


def named(template: str | None, *files: str, **more: Any) -> list[str]:
    paths = [Path(file) for file in files]
    return [path.name for path in out_names(template, paths, LOWS[: len(paths)], Path("out"), **more)]


def refused(template: str | None, *files: str, **more: Any) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        named(template, *files, **more)
    return caught.value.errors


def test_output_names(folder: Path) -> None:
    files = ("tiles/a.las", "tiles/d.copc.laz")
    assert named(None, *files) == ["a.las", "d.laz"]
    assert named(None, *files, suffix=".ply") == ["a.ply", "d.ply"]
    assert named("{stem}_clean", *files) == ["a_clean.las", "d_clean.laz"]
    assert named("{stem}.v2", *files) == ["a.v2.las", "d.v2.laz"]
    assert named("{x}_{y}_{index:03}.laz", *files) == ["84808_447412_000.laz", "-1_12_001.laz"]
    assert named("{{{stem}}}", *files) == ["{a}.las", "{d}.laz"]


def test_two_outputs_of_one_name_are_refused(folder: Path) -> None:
    (folder / "a.laz").touch()
    assert named("{stem}", "tiles/a.las", "tiles/a.laz") == ["a.las", "a.laz"]
    assert refused("{stem}.laz", "tiles/a.las", "tiles/a.laz") == (
        "tiles/a.laz: its output out/a.laz is that of tiles/a.las too; add a field such as {index} or {stem}",
    )
    (problem,) = refused(None, "tiles/sub/e.laz", "tiles/sub/../sub/e.laz")
    assert problem.endswith("give a template such as '{index}_{stem}'")


def test_wrong_templates_are_refused(folder: Path) -> None:
    file = "tiles/a.las"
    assert refused("{steem}", file) == (
        "template '{steem}': unknown field '{steem}'; did you mean 'stem'?; there are {index}, {stem}, {x}, {y}",
    )
    assert "unknown field '{stem.__class__}'" in refused("{stem.__class__}", file)[0]
    assert "unknown field '{}'" in refused("{}", file)[0]
    assert "is no template" in refused("{stem", file)[0]
    for template in ("{index:999999999}", "{stem!r}", "{index:{x}}", "{x:.3f}"):
        assert "is written in a way that is not known" in refused(template, file)[0]
    for template in ("../{stem}", "/tmp/{stem}", "sub/{stem}.laz", "{stem}\0"):
        assert "would leave the folder out; give a plain name" in refused(template, file)[0]
    assert "too long a name" in refused("{stem}" + "x" * 300, file)[0]


def test_an_empty_file_has_no_corner(folder: Path) -> None:
    with pytest.raises(SpecError, match=r"a.las: has no points, so no \{x\}; leave it out, or use \{index\}"):
        out_names("{x}", [Path("tiles/a.las")], [np.full(3, np.inf)], Path("out"))


def test_no_output_replaces_an_input(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    for out in ("tiles", "link"):
        with pytest.raises(SpecError, match=r"would replace the input tiles/a\.las; choose another folder"):
            out_names(None, [Path("tiles/a.las")], LOWS[:1], Path(out))
    with pytest.raises(SpecError, match=r"would replace the input tiles/b\.laz"):
        out_names("b.laz", [Path("tiles/a.las")], LOWS[:1], Path("tiles"), context=[Path("tiles/b.laz")])
    assert out_names("{stem}_clean", [Path("tiles/a.las")], LOWS[:1], Path("tiles")) == [Path("tiles/a_clean.las")]


def test_names_of_cells(tmp_path: Path) -> None:
    lows = [np.array([84_800.0, 447_400.0]), np.array([84_900.0, 447_400.0])]
    names = cell_names(None, lows, tmp_path, ".laz")
    assert [path.name for path in names] == ["84800_447400.laz", "84900_447400.laz"]
    with pytest.raises(SpecError, match="unknown field"):
        cell_names("{stem}", lows, tmp_path, ".laz")
    with pytest.raises(
        SpecError, match=r"the cell at 84900, 447400: its output .* is that of the cell at 84800, 447400"
    ):
        cell_names("{y}", lows, tmp_path, ".laz")


RD = 'PROJCS["Amersfoort / RD New",GEOGCS["x",UNIT["degree",0.017]],UNIT["metre",1],AUTHORITY["EPSG","28992"]]'
NAP = 'VERT_CS["NAP height",VERT_DATUM["NAP",2005],UNIT["metre",1],AUTHORITY["EPSG","5709"]]'
BOTH = f'COMPD_CS["Amersfoort / RD New + NAP height",{RD},{NAP},AUTHORITY["EPSG","7415"]]'


def outline(
    low: tuple[float, float] = (0, 0), high: tuple[float, float] = (10, 10), n: int = 100, **more: Any
) -> Outline:
    told = {"crs": None, "units": None, "layout": "", **more}
    return Outline(Extent(n, np.array([*low, 0.0]), np.array([*high, 1.0])), **told)


def apart(**more: Any) -> Outline:
    return outline((10, 0), (20, 10), **more)


def test_files_that_are_alike() -> None:
    assert check_alike([("a", outline(crs=RD, units="metre")), ("b", apart(crs=RD, units="metre"))]) == []
    assert check_alike([]) == []


@pytest.mark.parametrize("other", ["EPSG:28992", "epsg:28992", BOTH, RD.replace(",", ", "), RD.split(",AUTH")[0] + "]"])
def test_one_system_may_be_said_in_many_ways(other: str) -> None:
    assert check_alike([("a", outline(crs=RD)), ("b", apart(crs=other))]) == []
    assert check_alike([("a", outline(crs=other)), ("b", apart(crs=RD))]) == []


def test_a_code_of_both_height_and_plan() -> None:
    assert check_alike([("a", outline(crs=BOTH)), ("b", apart(crs="EPSG:7415"))]) == []


def test_other_systems_are_refused_by_name() -> None:
    with pytest.raises(SpecError) as caught:
        check_alike([("a", outline(crs=RD)), ("b", apart(crs="EPSG:25832")), ("c", apart(crs=RD))])
    assert caught.value.errors == (
        "b: its coordinate reference system is EPSG:25832, and that of a is Amersfoort / RD New; run them apart, or "
        "set the reader's 'override_srs' if they mean the same",
    )
    other = BOTH.replace("5709", "5621").replace("7415", "9999").replace("NAP height", "EVRF height")
    with pytest.raises(SpecError, match="EVRF"):
        check_alike([("a", outline(crs=BOTH)), ("b", apart(crs=other))])


def test_other_units_are_refused_by_name() -> None:
    with pytest.raises(SpecError, match="b: its unit of length is US ft, and that of a is m; run them apart"):
        check_alike([("a", outline(units="metre")), ("b", apart(units="US survey foot")), ("c", apart())])


def test_many_problems_are_cut_short() -> None:
    files = [("a", outline(units="metre")), *((f"{i}", apart(units="foot")) for i in range(9))]
    with pytest.raises(SpecError) as caught:
        check_alike(files)
    assert len(caught.value.errors) == 6
    assert caught.value.errors[-1] == "and 4 more of the kind"


def test_a_file_without_system_is_warned_of() -> None:
    (warning,) = check_alike([("a", outline(crs=RD)), ("b", apart())])
    assert warning.startswith(
        "b: no coordinate reference system is given; the coordinates are taken to be in Amersfoort"
    )


def test_a_file_without_a_dimension_is_warned_of() -> None:
    one, more = {"Classification": np.dtype("u1")}, {"Classification": np.dtype("u1"), "Red": np.dtype("<u2")}
    files = [("a", outline(kinds=more)), ("b", apart(kinds=one)), ("c", outline((20, 0), (30, 10), kinds=one))]
    assert check_alike(files) == ["b, c: without Red, which other files have; taken to be 0 there"]
    assert check_alike(files, frozenset({"Classification"})) == []


def test_a_dimension_of_another_shape_is_refused() -> None:
    files = [("a", outline(kinds={"Colour": np.dtype("u1")})), ("b", apart(kinds={"Colour": np.dtype(("u1", (3,)))}))]
    with pytest.raises(SpecError, match="b: dimension 'Colour' has 3 numbers a point, and one number in a"):
        check_alike(files)
    assert check_alike(files, frozenset()) == []


def test_overlaps_are_warned_of() -> None:
    big = ("big", outline((0, 0), (100, 100)))
    (warning,) = check_alike([big, ("small", outline((95, 0), (105, 10)))])
    assert warning.startswith("big and small: their bounds overlap by 50% of the smaller")
    assert check_alike([big, ("edge", outline((99.8, 0), (110, 10)))]) == []
    assert check_alike([big, ("beside", outline((100, 0), (110, 10)))]) == []
    assert check_alike([big, ("empty", outline(n=0))]) == []
    assert len(check_alike([big, ("line", outline((50, 0), (50, 10)))])) == 1
    many = check_alike([big] * 5)
    assert len(many) == 6
    assert many[-1].startswith("5 more pairs of files")


def test_one_spec_is_loaded_once_for_all_files_of_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        name = f"{number}.{'laz' if number % 3 else 'las'}"
        LasWriter(filename=name).write(PointCloud(np.random.default_rng(number).uniform(0, 5, (20, 3))))
    loaded: list[Any] = []
    monkeypatch.setattr(batch_prepare, "load", lambda *given, **named: loaded.append(named) or load(*given, **named))
    files = [Path(f"{number}.{'laz' if number % 3 else 'las'}") for number in range(12)]
    prepared = batch_prepare.prepare(Request(["filters.outlier"], files, tmp_path / "out"), tmp_path / "scratch")
    assert [one.targets[0].path for one in prepared.outputs] == [str(tmp_path / "out" / path) for path in files]
    assert len(loaded) == 2
