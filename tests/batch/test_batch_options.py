"""What `pipeline batch` and `pipeline run --memory` can be asked for, and what they refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import Result

from deburr.batch import lists
from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.registry import stage_class
from deburr.core.stage import Reader, Writer
from deburr.nn.deburr.default import Default
from deburr.pipeline import run
from deburr.tiles import memory

Cli = Callable[..., Result]

RADIUS = {"type": "filters.outlier", "method": "radius", "radius": 0.6, "min_k": 3}
STATISTICAL = {"type": "filters.outlier", "multiplier": 1.5}
NOTHING = '[{"type": "filters.noise", "sigma": 0}]'
FEET = (
    'PROJCS["somewhere",GEOGCS["there",DATUM["D",SPHEROID["S",6378137,298.257222101]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],PARAMETER["scale_factor",1],'
    'UNIT["US survey foot",0.304800609601219]]'
)
METRES = FEET.replace('"US survey foot",0.304800609601219', '"metre",1')
ORIGIN = np.array([85_000.0, 447_000.0, 0.0])


def surface(count: int = 2000, side: float = 12.0, seed: int = 0) -> Floats:
    """(N, 3): a wavy surface with a few points off it, on a lattice of 1 mm."""
    random = np.random.default_rng(seed)
    plan = random.uniform(0, side, (count, 2))
    z = (
        0.5 * np.sin(plan[:, 0])
        + random.normal(0, 0.03, count)
        + random.exponential(1.0, count) * (random.random(count) < 0.03)
    )
    return lattice(np.column_stack((plan, z)) + ORIGIN)


def lattice(xyz: Any) -> Floats:
    """Coordinates as a LAS file of a scale of 1 mm gives them, to the last bit."""
    return np.rint(np.asarray(xyz) / 0.001) * 0.001


def write(path: Path, xyz: Floats, **options: Any) -> Path:
    """``options`` of the writer; those that are arrays are dimensions."""
    dims = {name: value for name, value in options.items() if isinstance(value, np.ndarray)}
    given = {name: value for name, value in options.items() if name not in dims}
    las = path.suffix != ".ply"
    lattice = {f"scale_{a}": 0.001 for a in "xyz"} | {f"offset_{a}": 0.0 for a in "xyz"} if las else {}
    writer = stage_class("writers.las" if las else "writers.ply").model_validate(
        {**lattice, **given, "filename": str(path)}
    )
    assert isinstance(writer, Writer)
    columns: dict[str, Any] = {
        "Intensity": (np.arange(len(xyz)) % 60_000).astype(np.uint16),
        "Classification": np.full(len(xyz), 2, np.uint8),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    writer.write(PointCloud(xyz, columns | dims))
    return path


def read(path: Path) -> PointCloud:
    reader = stage_class("readers.ply" if path.suffix == ".ply" else "readers.las").model_validate(
        {"filename": str(path)}
    )
    assert isinstance(reader, Reader)
    return reader.read()


def records(path: Path) -> npt.NDArray[Any]:
    import laspy

    return laspy.read(path).points.array


def flags(cloud: PointCloud) -> Any:
    return cloud.dims["Classification"] == 7


def outliers(spec: dict[str, Any], *clouds: Floats) -> Any:
    """Which points of the merged cloud are flagged."""
    return flags(run([spec], points=np.concatenate(clouds)).cloud)


@pytest.fixture
def here(tmp_path: Path) -> tuple[Path, list[Floats]]:
    """The folder of a test, with two files a.las, b.las of neighbouring halves in ``in/``; and their points."""
    xyz = surface()
    left = xyz[:, 0] < 85_006
    parts = [xyz[left], xyz[~left]]
    for name, part in zip("ab", parts, strict=True):
        write(tmp_path / "in" / f"{name}.las", part)
    return tmp_path, parts


def names(folder: Path) -> list[str]:
    """Clouds in a folder."""
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".las", ".laz", ".ply"))


# -- the spec and its files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        [RADIUS],
        ["nowhere.las", RADIUS, "result.las"],
        [{"type": "readers.las", "filename": "nowhere.laz"}, RADIUS],
        ["a.las", RADIUS, {"type": "writers.las", "filename": "in/a.las"}],
    ],
    ids=["filters alone", "file names", "a reader", "a writer of an input's name"],
)
def test_files_of_the_spec_are_replaced(spec: Any, here: Any, cli: Cli) -> None:
    folder, parts = here
    (folder / "spec.json").write_text(json.dumps(spec))
    result = cli("batch", "spec.json", "in/a.las", "in/b.las", "--out", "out")
    assert result.exit_code == 0, result.stderr
    found = [flags(read(folder / "out" / f"{name}.las")) for name in "ab"]
    assert (np.concatenate(found) == outliers(RADIUS, *parts)).all()
    assert np.concatenate(found).sum() > 10
    assert not (folder / "result.las").exists()


def test_options_of_reader_and_writer_hold_for_every_file(here: Any, cli: Cli) -> None:
    folder, _ = here
    spec = [
        {"type": "readers.las", "filename": "x.las", "override_srs": "EPSG:28992"},
        RADIUS,
        {"type": "writers.las", "filename": "y.las", "scale_x": 0.01, "dataformat_id": 7, "tag": "out"},
    ]
    (folder / "spec.json").write_text(json.dumps(spec))
    result = cli("batch", "spec.json", "in", "--out", "out", "--stage.out.system_id=mine")
    assert result.exit_code == 0, result.stderr
    import laspy

    for name in "ab":
        header = laspy.read(folder / "out" / f"{name}.las").header
        assert header.scales.tolist() == [0.01, 0.001, 0.001]
        assert header.point_format.id == 7
        assert header.system_identifier == "mine"
        assert read(folder / "out" / f"{name}.las").crs is not None


def test_a_writer_of_another_format_gives_outputs_its_extension(here: Any, cli: Cli) -> None:
    folder, parts = here
    write(folder / "in" / "c.ply", parts[0] + [0, 20, 0])
    for number, last in enumerate(("clean.ply", {"type": "writers.ply", "filename": "clean.txt"})):
        (folder / "spec.json").write_text(json.dumps(["x.las", RADIUS, last]))
        result = cli("batch", "spec.json", "in", "--out", f"out{number}")
        assert result.exit_code == 0, result.stderr
        assert names(folder / f"out{number}") == ["a.ply", "b.ply", "c.ply"]
        assert (folder / f"out{number}" / "a.ply").read_bytes()[:3] == b"ply"
    (folder / "spec.json").write_text(json.dumps([RADIUS, "clean.laz"]))
    result = cli("batch", "spec.json", "in", "--out", "las")
    assert result.exit_code == 0, result.stderr
    assert names(folder / "las") == ["a.las", "b.las", "c.laz"]
    assert (folder / "las" / "c.laz").read_bytes()[:4] == b"LASF"


@pytest.mark.parametrize(
    ("template", "expected"),
    [("{stem}_clean", ["a_clean.las", "b_clean.las"]), ("{index:03}", ["000.las", "001.las"]),
     ("t_{x}_{y}.laz", ["t_85000_447000.laz", "t_85006_447000.laz"])],
)  # fmt: skip
def test_names_of_outputs(template: str, expected: list[str], here: Any, cli: Cli) -> None:
    folder, parts = here
    result = cli("batch", NOTHING, "in", "--out", "out", "--name", template)
    assert result.exit_code == 0, result.stderr
    assert names(folder / "out") == expected
    assert result.stdout.split() == [f"out/{name}" for name in expected]
    assert (read(folder / "out" / expected[1]).xyz == parts[1]).all()


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ("same", "{index}"),
        ("{stam}", "unknown field '{stam}'; did you mean 'stem'"),
        ("../{stem}", "would leave the folder"),
    ],
)
def test_names_that_will_not_do(template: str, part: str, here: Any, cli: Cli) -> None:
    folder, _ = here
    result = cli("batch", NOTHING, "in", "--out", "out", "--name", template)
    assert result.exit_code == 2
    assert part in result.stderr
    assert not (folder / "out").exists()


def test_outputs_may_stand_beside_inputs_but_never_in_their_place(here: Any, cli: Cli) -> None:
    folder, parts = here
    before = (folder / "in" / "a.las").read_bytes()
    result = cli("batch", NOTHING, "in", "--out", "in")
    assert result.exit_code == 2
    assert "in/a.las" in result.stderr
    assert "choose another folder" in result.stderr
    assert sorted(path.name for path in (folder / "in").iterdir()) == ["a.las", "b.las"]
    result = cli("batch", NOTHING, "in", "--out", "in", "--name", "{stem}_clean")
    assert result.exit_code == 0, result.stderr
    assert names(folder / "in") == ["a.las", "a_clean.las", "b.las", "b_clean.las"]
    assert (folder / "in" / "a.las").read_bytes() == before
    assert (read(folder / "in" / "a_clean.las").xyz == parts[0]).all()
    # A context file is an input too, as far as this goes.
    result = cli("batch", NOTHING, "in/a.las", "--out", "in", "--name", "b", "--context", "in/b.las")
    assert result.exit_code == 2
    assert "in/b.las" in result.stderr


# -- inputs ---------------------------------------------------------------------------------------------------------


def test_folders_globs_and_virtual_point_clouds_name_the_same_files(here: Any, cli: Cli) -> None:
    folder, _ = here
    (folder / "spec.json").write_text(json.dumps([RADIUS]))
    result = cli("batch", "spec.json", "in", "--out", "out", "--vpc")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == ["out/a.las", "out/b.las", "out/out.vpc"]
    assert lists.read(folder / "out" / "out.vpc") == [folder / "out" / "a.las", folder / "out" / "b.las"]
    for number, words in enumerate((["in/*.las"], ["out/out.vpc"], ["in/b.las", "in/a.las"])):
        result = cli("batch", "spec.json", *words, "--out", f"out{number}")
        assert result.exit_code == 0, result.stderr
        for name in "ab":
            assert (records(folder / f"out{number}" / f"{name}.las") == records(folder / "out" / f"{name}.las")).all()


@pytest.mark.slow
def test_a_copc_file_is_cleaned_to_plain_laz(data_dir: Path, cli: Cli, tmp_path: Path) -> None:
    source = data_dir / "data" / "lidar" / "pdal_lone-star.copc.laz"
    result = cli("batch", json.dumps([RADIUS]), source, "--out", "out", "--tile", "20")
    assert result.exit_code == 0, result.stderr
    assert names(tmp_path / "out") == ["pdal_lone-star.laz"]
    run([RADIUS], input=source, output=tmp_path / "whole.laz")
    assert (records(tmp_path / "out" / "pdal_lone-star.laz") == records(tmp_path / "whole.laz")).all()


@pytest.mark.parametrize("spec", [RADIUS, {"type": "filters.spd", "noise": 0.03}], ids=["outlier", "spd"])
def test_context_is_seen_and_never_written(spec: dict[str, Any], here: Any, cli: Cli) -> None:
    folder, parts = here
    (folder / "spec.json").write_text(json.dumps([spec]))
    alone = run([spec], points=parts[0]).cloud
    together = run([spec], points=np.concatenate(parts)).cloud
    result = cli("batch", "spec.json", "in/a.las", "--out", "out", "--context", "in/b.las", "--tile", "5")
    assert result.exit_code == 0, result.stderr
    assert names(folder / "out") == ["a.las"]
    assert result.stdout.split() == ["out/a.las"]
    found, mine = read(folder / "out" / "a.las"), slice(len(parts[0]))
    if spec is RADIUS:
        assert (flags(found) == flags(together)[mine]).all()
        assert (flags(found) != flags(alone)).any()
    else:
        assert np.abs(found.xyz - together.xyz[mine]).max() < 0.00151
        assert np.abs(found.xyz - alone.xyz).max() > 0.002
        far = parts[0][:, 0] < 85_001
        # In thinned copies a few points of the context are seen from there, too.
        assert np.quantile(np.abs(found.xyz - alone.xyz)[far], 0.95) < 0.00151
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["context"] == ["in/b.las"]
    assert report["stages"][0]["figures"]["points"] == len(parts[0])


def test_context_that_is_an_input_too_is_an_input(here: Any, cli: Cli) -> None:
    folder, _ = here
    result = cli("batch", NOTHING, "in/a.las", "--out", "out", "--context", "in")
    assert result.exit_code == 0, result.stderr
    report = json.loads((folder / "out" / "report.json").read_text())
    assert (report["inputs"], report["context"]) == (["in/a.las"], ["in/b.las"])


def test_points_that_two_files_share_get_the_same_result(here: Any, cli: Cli) -> None:
    folder, parts = here
    shared = parts[0][:400]
    both = [parts[0], np.concatenate((shared, parts[1]))]
    write(folder / "in" / "b.las", both[1])
    spec = [STATISTICAL, {"type": "filters.spd", "noise": 0.03}]
    (folder / "spec.json").write_text(json.dumps(spec))
    result = cli("batch", "spec.json", "in", "--out", "out", "--tile", "4.7")
    assert result.exit_code == 0, result.stderr
    assert "in/a.las and in/b.las: their bounds overlap" in result.stderr
    found = [read(folder / "out" / f"{name}.las") for name in "ab"]
    assert (found[0].xyz[:400] == found[1].xyz[:400]).all()
    assert (flags(found[0])[:400] == flags(found[1])[:400]).all()
    whole = run(
        spec, points=np.concatenate(both), dims={"Classification": np.full(len(both[0]) + len(both[1]), 2)}
    ).cloud
    assert (np.concatenate([flags(cloud) for cloud in found]) == flags(whole)).all()
    assert np.abs(np.concatenate([cloud.xyz for cloud in found]) - whole.xyz).max() < 0.00151


# -- files that differ ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "part"),
    [({"a_srs": "EPSG:25832"}, "coordinate reference system"), ({"a_srs": FEET}, "unit of length is US ft")],
    ids=["CRS", "units"],
)
def test_files_of_another_system_are_refused_by_name(options: Any, part: str, here: Any, cli: Cli) -> None:
    folder, parts = here
    write(folder / "in" / "a.las", parts[0], a_srs=METRES)
    write(folder / "in" / "b.las", parts[1], **options)
    result = cli("batch", NOTHING, "in", "--out", "out")
    assert result.exit_code == 2
    assert "in/b.las" in result.stderr
    assert "in/a.las" in result.stderr
    assert part in result.stderr
    assert not (folder / "out").exists()
    # Nor may what lies around be in another system.
    result = cli("batch", NOTHING, "in/a.las", "--out", "out", "--context", "in/b.las")
    assert result.exit_code == 2


def test_scales_and_point_formats_are_kept_file_by_file(here: Any, cli: Cli) -> None:
    import laspy

    folder, parts = here
    write(folder / "in" / "b.laz", parts[1], scale_x=0.01, scale_y=0.01, offset_z=5.0, dataformat_id=3, minor_version=2)
    (folder / "in" / "b.las").unlink()
    write(folder / "in" / "c.ply", lattice(parts[0] + [0, 12, 0]), Odd=np.arange(len(parts[0]), dtype=np.int16))
    (folder / "spec.json").write_text(json.dumps([RADIUS]))
    result = cli("batch", "spec.json", "in", "--out", "out", "--tile", "3.3")
    assert result.exit_code == 0, result.stderr
    xyz = [read(folder / "in" / name).xyz for name in ("a.las", "b.laz", "c.ply")]
    expected = np.split(outliers(RADIUS, *xyz), np.cumsum([len(part) for part in xyz])[:-1])
    for name, flagged in zip(("a.las", "b.laz"), expected, strict=False):
        before, after = laspy.read(folder / "in" / name), laspy.read(folder / "out" / name)
        assert after.header.point_format == before.header.point_format
        assert after.header.version == before.header.version
        assert (after.header.scales == before.header.scales).all()
        assert (after.header.offsets == before.header.offsets).all()
        assert ((np.asarray(after.classification) == 7) == flagged).all()
        after.classification = before.classification
        assert after.points.array.tobytes() == before.points.array.tobytes()
    before, after = read(folder / "in" / "c.ply"), read(folder / "out" / "c.ply")
    assert (flags(after) == expected[2]).all()
    assert (after.xyz == before.xyz).all()
    assert {name: column.dtype for name, column in after.dims.items()} == {
        name: column.dtype for name, column in before.dims.items()
    }
    assert (after.dims["Odd"] == before.dims["Odd"]).all()


def test_columns_keep_their_files_types(here: Any, cli: Cli) -> None:
    folder, parts = here
    types = {"a": np.uint8, "b": np.int32, "c": np.float64}
    for number, (name, kind) in enumerate(types.items()):
        classes = np.full(len(parts[0]), 2, kind)
        write(folder / "ply" / f"{name}.ply", lattice(parts[0] + [7.0 * number, 0, 0]), Classification=classes)
    for extra in ((), ("--tile", "3")):
        result = cli("batch", json.dumps([RADIUS]), "ply", "--out", "out", *extra)
        assert result.exit_code == 0, result.stderr
        for name, kind in types.items():
            found = read(folder / "out" / f"{name}.ply").dims["Classification"]
            assert found.dtype == kind
            assert {*found.tolist()} == {2, 7}


def test_files_of_other_layouts_cannot_be_cut_anew_together(here: Any, cli: Cli) -> None:
    folder, parts = here
    write(folder / "in" / "b.las", parts[1], dataformat_id=3)
    result = cli("batch", NOTHING, "in", "--out", "out", "--retile", "5")
    assert result.exit_code == 2
    assert "in/b.las: is point format 3" in result.stderr
    assert "leave out --retile" in result.stderr
    assert not (folder / "out").exists()


def test_coordinates_kept_in_some_files_only_are_not_taken_to_be_0_in_others(here: Any, cli: Cli) -> None:
    folder, parts = here
    spec = [{"type": "filters.spd", "noise": 0.03, "keep_original": True}]
    (folder / "spec.json").write_text(json.dumps(spec))
    result = cli("batch", "spec.json", "in/a.las", "--out", "once")
    assert result.exit_code == 0, result.stderr
    shutil.copy(folder / "in" / "b.las", folder / "once" / "b.las")
    for again in (spec, ["filters.restore"]):
        (folder / "spec.json").write_text(json.dumps(again))
        result = cli("batch", "spec.json", "once/a.las", "once/b.las", "--out", "twice")
        assert result.exit_code == 2
        assert "once/b.las: has no dimension 'OriginalX'" in result.stderr
        assert not (folder / "twice").exists()
    result = cli("batch", "spec.json", "once/a.las", "--context", "once/b.las", "--out", "twice")
    assert result.exit_code == 0, result.stderr
    assert (read(folder / "twice" / "a.las").xyz == parts[0]).all()


# -- cells ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extra", [(), ("--tile", "1.7"), ("--name", "cell_{index:02}_{x}")], ids=["cells", "cut", "named"]
)
def test_cells_hold_what_lies_in_them(extra: tuple[str, ...], here: Any, cli: Cli) -> None:
    folder, parts = here
    hole = [part[np.abs(part[:, :2] - [85_010, 447_002]).max(axis=1) > 3] for part in parts]
    hole[1] = np.concatenate((hole[1], [[85_008, 447_004, 0.0], [85_004, 447_008, 0.0], [85_012, 447_012, 0.0]]))
    for name, part in zip("ab", hole, strict=True):
        write(folder / "in" / f"{name}.las", part)
    (folder / "spec.json").write_text(json.dumps([STATISTICAL]))
    result = cli("batch", "spec.json", "in", "--out", "out", "--retile", "4", "--vpc", *extra)
    assert result.exit_code == 0, result.stderr
    xyz, flagged = np.concatenate(hole), outliers(STATISTICAL, *hole)
    cells = np.unique(np.floor(xyz[:, :2] / 4), axis=0)
    assert len(names(folder / "out")) == len(cells)
    left = len(xyz)
    listed = json.loads((folder / "out" / "out.vpc").read_text())["features"]
    counts = [item["properties"]["pc:count"] for item in listed]
    for path, count in zip(lists.read(folder / "out" / "out.vpc"), counts, strict=True):
        assert isinstance(path, Path)
        cloud = read(path)
        (cell,) = np.unique(np.floor(cloud.xyz[:, :2] / 4), axis=0)
        mine = (np.floor(xyz[:, :2] / 4) == cell).all(axis=1)
        assert (cloud.xyz == xyz[mine]).all()
        assert (flags(cloud) == flagged[mine]).all()
        assert count == len(cloud)
        if not extra:
            assert path.name == f"{4 * cell[0]:.0f}_{4 * cell[1]:.0f}.las"
        left -= count
    assert left == 0


def test_points_belong_to_the_cell_that_they_were_read_in(here: Any, cli: Cli) -> None:
    folder, parts = here
    spec = [{"type": "filters.noise", "sigma": 0.5, "seed": 1}]
    result = cli("batch", json.dumps(spec), "in", "--out", "out", "--retile", "4")
    assert result.exit_code == 0, result.stderr
    found = [read(folder / "out" / name) for name in names(folder / "out")]
    assert any(len(np.unique(np.floor(cloud.xyz[:, :2] / 4), axis=0)) > 1 for cloud in found)
    cells = np.unique(np.floor(np.concatenate(parts)[:, :2] / 4), axis=0, return_counts=True)[1]
    assert sorted(len(cloud) for cloud in found) == sorted(cells.tolist())


# -- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ([{"type": "filters.spd", "model": "spd", "weights": "w.safetensors"}], "with 'model': 'spd'"),
        ([{"type": "filters.normalize", "method": "unit_sphere"}], "with 'method': 'unit_sphere'"),
        ([{"type": "filters.metrics", "reference": "truth.las"}], "with 'reference': 'truth.las'"),
        ([{"type": "filters.metrics", "repeatability": "strips"}], "with 'repeatability': 'strips'"),
        (["filters.restore", "filters.spd"], "behind filters.restore"),
    ],
    ids=["published network", "unit sphere", "reference", "repeatability", "restore"],
)
def test_what_cannot_be_run_in_tiles_is_refused_by_name(
    spec: Any, part: str, here: Any, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = here
    (folder / "spec.json").write_text(json.dumps(spec))

    def fail(*_: object) -> None:
        raise AssertionError("nothing is to be read")

    monkeypatch.setattr("deburr.readers.las.LasReader.outline", fail)
    result = cli("batch", "spec.json", "in", "--out", "out")
    assert result.exit_code == 2, result.stderr
    assert f"spec.json: stage {len(spec)} (filters." in result.stderr
    assert part in result.stderr
    assert (
        "; remove it, or run the files one by one" in result.stderr or "; run these two as pipelines" in result.stderr
    )
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        (("--memory", "10MB"), "--memory 10MB: is too little to work with; give at least"),
        (("--memory", "lots"), "--memory lots: is no amount of memory"),
        (("--memory", "-2GB"), "is no amount of memory"),
        (("--memory", "900MB", "--workers", "4"), "--memory 900MB: is too little for 4 workers"),
        (("--workers", "0"), "--workers 0: must be at least 1"),
        (("--tile", "0"), "--tile 0: must be a length above 0"),
        (("--tile", "nan"), "--tile nan: must be a length above 0"),
        (("--tile", "inf"), "--tile inf: must be a length above 0"),
        (("--tile", "1e-9"), "are too small for points"),
        (("--retile", "-3"), "--retile -3: must be a length above 0"),
        (("--retile", "5", "--name", "{stem}"), "unknown field '{stem}'"),
    ],
)
def test_values_that_will_not_do(extra: tuple[str, ...], part: str, here: Any, cli: Cli) -> None:
    folder, _ = here
    result = cli("batch", NOTHING, "in", "--out", "out", *extra)
    assert result.exit_code == 2, result.stderr
    assert part in result.stderr
    assert result.stdout == ""
    assert not (folder / "out").exists()


def test_a_pipeline_of_two_writers_is_refused(here: Any, cli: Cli) -> None:
    folder, _ = here
    (folder / "spec.json").write_text(json.dumps([RADIUS, {"type": "writers.las", "filename": "x.las"}, "y.las"]))
    result = cli("batch", "spec.json", "in", "--out", "out")
    assert result.exit_code == 2
    assert "a batch takes one writer" in result.stderr
    assert not (folder / "out").exists()


# -- clouds of hardly anything --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["filters.spd", STATISTICAL, RADIUS, "filters.metrics", {**STATISTICAL, "action": "remove"}]
)
def test_files_of_no_or_of_few_points(spec: Any, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if spec is not STATISTICAL:  # once is enough
        monkeypatch.setattr("deburr.batch.map.draw", lambda tiles, path, unit: path.touch())
    (tmp_path / "spec.json").write_text(json.dumps([spec]))
    xyz = surface(300)
    parts = {"cloud": xyz, "none": xyz[:0], "one": xyz[:1], "row": lattice(xyz[:7] * [1, 0, 1] + [0, 447_006, 0])}
    parts["spot"] = np.repeat(xyz[:1], 50, axis=0)
    for name, part in parts.items():
        write(tmp_path / "in" / f"{name}.las", part)
    for inputs in (["in/none.las"], ["in/one.las"], ["in/row.las", "in/one.las"], ["in/spot.las"], ["in"]):
        for extra in ((), ("--tile", "2.5")):
            result = cli("batch", "spec.json", *inputs, "--out", "out", *extra)
            assert result.exit_code == 0, (inputs, result.stderr)
            stems = sorted(parts) if inputs == ["in"] else [Path(name).stem for name in inputs]
            assert names(tmp_path / "out") == [f"{stem}.las" for stem in sorted(stems)]
            whole = run([spec], points=np.concatenate([parts[stem] for stem in stems]))
            found = [read(tmp_path / "out" / f"{stem}.las") for stem in stems]
            if not (isinstance(spec, dict) and spec.get("action") == "remove"):
                assert [len(cloud) for cloud in found] == [len(parts[stem]) for stem in stems]
            xyz_ = np.concatenate([cloud.xyz for cloud in found])
            assert xyz_.shape == whole.xyz.shape
            assert np.abs(xyz_ - whole.xyz).max(initial=0) < 0.00151
            shutil.rmtree(tmp_path / "out")


# -- what is said ---------------------------------------------------------------------------------------------------


def test_a_dry_run_prints_the_plan_and_leaves_nothing(here: Any, cli: Cli) -> None:
    folder, parts = here
    (folder / "spec.json").write_text(json.dumps(["filters.spd"]))
    before = sorted(folder.rglob("*"))
    result = cli(
        "batch", "spec.json", "in", "--out", "out", "--dry-run", "--tile", "4", "--memory", "2GB", "--workers", "2"
    )
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    plan = json.loads(result.stdout)
    assert sorted(folder.rglob("*")) == before
    assert plan["inputs"] == 2
    assert plan["outputs"] == ["a.las", "b.las"]
    assert plan["points"] == pytest.approx(sum(map(len, parts)), rel=0.02)
    assert len(plan["tiles"]) == 12
    assert all(tile["halo"] > 0.5 for tile in plan["tiles"])
    assert plan["memory_gb_a_worker"] == pytest.approx(1.0)
    assert 0 <= plan["estimated_seconds"] < 60
    assert plan["scratch_gb"] >= 0
    # Where the outputs exist, they stay as they are.
    assert cli("batch", "spec.json", "in", "--out", "out").exit_code == 0
    states = {path: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    assert cli("batch", "spec.json", "in", "--out", "out", "--dry-run").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").iterdir()} == states


@pytest.mark.parametrize(
    "options", [{}, {"dimensions": ["Displacement"]}, {"where": "Intensity > 3"}, {"noise": 3000.0}]
)
def test_the_time_is_that_of_the_whole_work(options: Any, here: Any, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = here
    write(folder / "in" / "c.las", surface(500, 1e5))
    (folder / "spec.json").write_text(json.dumps([{"type": "filters.spd", **options}]))
    denoised: list[int] = []
    denoise = Default.denoise

    def spy(self: Any, points: Floats, settings: Any) -> Any:
        denoised.append(len(points))
        return denoise(self, points, settings)

    monkeypatch.setattr(Default, "denoise", spy)
    monkeypatch.setattr("deburr.batch.dry_run._TRIED", 3000)
    result = cli("batch", "spec.json", "in/c.las", "--out", "out", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert denoised == [3000]


def test_stdout_carries_paths_alone_and_quiet_means_quiet(here: Any, cli: Cli) -> None:
    result = cli("batch", NOTHING, "in", "--out", "out", "--quiet")
    assert result.exit_code == 0
    assert result.stdout == "out/a.las\nout/b.las\n"
    assert result.stderr == ""
    result = cli("batch", NOTHING, "in", "--out", "loud", "--tile", "5")
    assert result.stdout == "loud/a.las\nloud/b.las\n"
    assert "scratch:" in result.stderr


# -- files larger than memory ---------------------------------------------------------------------------------------


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory for 800 points: more is cut."""
    monkeypatch.setattr(memory, "BASE", 0)
    monkeypatch.setattr(memory, "PER_POINT", 1)
    monkeypatch.setattr(memory, "_FEWEST", 800)
    monkeypatch.setattr(memory, "available", lambda: 10**9)


def in_memory(spec: Any, source: Path, target: Path) -> Any:
    return run(spec, input=source, output=target)


@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_a_file_larger_than_memory_is_run_in_tiles(suffix: str, here: Any, cli: Cli, little_memory: None) -> None:
    folder, _ = here
    source = write(folder / f"big{suffix}", surface(4000, 20.0), GpsTime=np.arange(4000) / 3, Extra=np.arange(4000.0))
    spec = [STATISTICAL, {"type": "filters.spd", "noise": 0.03}, "filters.metrics"]
    (folder / "spec.json").write_text(json.dumps(spec))
    whole = in_memory(spec, source, folder / f"whole{suffix}")
    result = cli("run", "spec.json", "--input", source, "--output", f"out{suffix}", "--memory", "2500")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"out{suffix}\n"
    assert "scratch:" in result.stderr
    found, expected = records(folder / f"out{suffix}"), records(folder / f"whole{suffix}")
    for name in found.dtype.names:
        if name in "XYZ":
            assert np.abs(found[name].astype(int) - expected[name]).max() <= 1
            assert (found[name] == expected[name]).mean() > 0.999
        else:
            assert (found[name] == expected[name]).all(), name
    assert whole.cloud.moved.any()
    assert [path.name for path in folder.iterdir() if ".deburr" in path.name] == []


def tiles_are_made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from deburr.batch import work
    from deburr.tiles.tile import process

    seen: list[int] = []

    def spy(*args: Any) -> Any:
        done = process(*args)
        seen.append(done.read)
        return done

    monkeypatch.setattr(work, "process", spy)
    return seen


def test_a_stream_writes_every_output_that_is_asked_for(
    here: Any, cli: Cli, little_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = here
    source = write(folder / "big.las", surface(4000, 20.0))
    seen = tiles_are_made(monkeypatch)
    spec = [str(source), RADIUS, {"type": "writers.las", "filename": "one.laz", "scale_x": 0.01}, "two.ply"]
    (folder / "spec.json").write_text(json.dumps(spec))
    result = cli("run", "spec.json", "--memory", "1000")
    assert result.exit_code == 0, result.stderr
    assert len(seen) > 5
    assert max(seen) < 4000
    assert result.stdout.split() == ["one.laz", "two.ply"]
    expected = run([RADIUS], input=source).cloud
    for path in (folder / "one.laz", folder / "two.ply"):
        found = read(path)
        assert (flags(found) == flags(expected)).all()
        assert (found.dims["Intensity"] == expected.dims["Intensity"]).all()
        assert np.abs(found.xyz - expected.xyz).max() < 0.0051


def test_a_stream_of_a_report_alone(here: Any, cli: Cli, little_memory: None) -> None:
    folder, _ = here
    source = write(folder / "big.las", surface(4000, 20.0))
    (folder / "spec.json").write_text(json.dumps([str(source), "filters.metrics"]))
    result = cli("run", "spec.json", "--memory", "3000", "--report", "told")
    assert result.exit_code == 0, result.stderr
    assert "told/report.json" in result.stdout.split()
    report = json.loads((folder / "told" / "report.json").read_text())
    expected = run(["filters.metrics"], input=source).report["stages"][-1]["figures"]
    found = report["stages"][0]["figures"]
    assert found["points"] == 4000
    assert found["now"]["residual_rms"] == pytest.approx(expected["now"]["residual_rms"], rel=1e-9)
    assert found["now"]["residual_median"] == pytest.approx(expected["now"]["residual_median"], rel=1e-3)
    assert sorted(path.name for path in folder.iterdir()) == ["big.las", "in", "spec.json", "told"]


def test_a_large_ply_file_is_run_in_tiles_too(
    here: Any, cli: Cli, little_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = here
    source = write(folder / "big.ply", surface(3000, 20.0), Odd=np.arange(3000, dtype=np.int32))
    seen = tiles_are_made(monkeypatch)
    result = cli("run", json.dumps([RADIUS]), "--input", source, "--output", "out.ply", "--memory", "1000")
    assert result.exit_code == 0, result.stderr
    assert len(seen) > 2
    found, expected = read(folder / "out.ply"), run([RADIUS], input=source).cloud
    assert (found.xyz == expected.xyz).all()
    assert (flags(found) == flags(expected)).all()
    assert (found.dims["Odd"] == np.arange(3000)).all()


def test_what_cannot_be_streamed_is_refused_if_memory_is_asked_for(here: Any, cli: Cli, little_memory: None) -> None:
    folder, _ = here
    source = write(folder / "big.las", surface(2000))
    spec = json.dumps([{"type": "filters.normalize", "method": "unit_sphere"}])
    result = cli("run", spec, "--input", source, "--output", "out.las", "--memory", "1000")
    assert result.exit_code == 2
    assert "unit_sphere" in result.stderr
    assert not (folder / "out.las").exists()
    assert cli("run", spec, "--input", source, "--output", "out.las").exit_code == 0
    result = cli("denoise", source, "out.las", "--memory", "tiny")
    assert result.exit_code == 2


@pytest.mark.usefixtures("here")
def test_a_file_that_fits_is_run_as_a_whole(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tiles_are_made(monkeypatch)
    result = cli("run", NOTHING, "--input", "in/a.las", "--output", "out.las", "--memory", "2GB")
    assert result.exit_code == 0, result.stderr
    assert seen == []
