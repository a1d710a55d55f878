"""Batches: whatever the tiling, the result of the untiled run on the merged cloud; and nothing lost on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import Result

from deburr.batch.prepare import Prepared, Request, prepare
from deburr.batch.run import Account, Batch, Means, Silent
from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.registry import stage_class
from deburr.core.sample import Sample
from deburr.core.stage import Filter, Writer
from deburr.core.sums import Exact, merge
from deburr.pipeline import run
from deburr.testing import tiling
from deburr.tiles import memory
from deburr.tiles.tile import Core, Work, _clusters, process

Cli = Callable[..., Result]
Ints = npt.NDArray[Any]

OUTLIER = {"type": "filters.outlier", "mean_k": 8, "multiplier": 2.0}
RADIUS = {"type": "filters.outlier", "method": "radius", "radius": 0.6, "min_k": 3}
CHAIN = [OUTLIER, "filters.spd", "filters.metrics"]


def batch(spec: Any, inputs: Sequence[Path], out: Path, **more: Any) -> tuple[Prepared, Account]:
    """The batch that the command runs, in this process, without its ledger and reports; all must succeed."""
    side = more.get("tile")
    prepared = prepare(Request(spec, inputs, out, **more), out / ".deburr")
    out.mkdir(parents=True, exist_ok=True)
    account = Batch(prepared, out / ".deburr", Means(), Silent()).run(side)
    assert not account.errors
    return prepared, account


def write(path: Path, xyz: Floats, scale: float = 0.001, **dims: Any) -> Path:
    lattice = {f"scale_{a}": scale for a in "xyz"} | {f"offset_{a}": 0.0 for a in "xyz"}
    kind = dims.pop("kind", 6)
    writer = stage_class("writers.las").model_validate({"filename": str(path), "dataformat_id": kind, **lattice})
    assert isinstance(writer, Writer)
    writer.write(PointCloud(xyz, dims))
    return path


def records(path: Path) -> Ints:
    """(N,) the points' records as they stand in the file, field by field."""
    import laspy

    return laspy.read(path).points.array


def joined(paths: Sequence[Path], target: Path) -> Path:
    """All points of files alike, file after file, by a program that is not ours."""
    import laspy

    first = laspy.read(paths[0])
    array = np.concatenate([laspy.read(path).points.array for path in paths])
    points = laspy.ScaleAwarePointRecord(array, first.header.point_format, first.header.scales, first.header.offsets)
    whole = laspy.LasData(first.header, points)
    whole.write(target)
    return target


# -- seams ----------------------------------------------------------------------------------------------------------


def corridor(count: int, length: float = 120.0, noise: float = 0.03) -> Floats:
    """(N, 3): an uneven road with walls and a few points off it, far from the origin: tiles see a part of it only."""
    random = np.random.default_rng(5)
    plan = random.uniform(0, 1, (count, 2)) * [length, 7.0]
    z = (
        0.4 * np.sin(plan[:, 0] / 2)
        + 1.5 * (plan[:, 1] > 5)
        + random.exponential(2.0, count) * (random.random(count) < 0.01)
    )
    xyz = np.column_stack((plan, z)) + random.normal(0, noise, (count, 3))
    return np.round(xyz + np.array([85_000.0, 447_000.0, 0.0]), 3)


@dataclass
class Road:
    """A corridor in files; ``whole``: the same points in one."""

    folder: Path
    files: list[Path]
    whole: Path
    runs: dict[str, Any]

    def untiled(self, spec: Any) -> Any:
        key = json.dumps(spec)
        if key not in self.runs:
            target = self.folder / f"whole-{len(self.runs)}.las"
            self.runs[key] = run(spec, input=self.whole, output=target)
        return self.runs[key]


def road_of(folder: Path, count: int, cuts: Sequence[float]) -> Road:
    xyz = corridor(count)
    random = np.random.default_rng(1)
    dims = {
        "Classification": random.choice(np.array([2, 2, 2, 5, 6, 7], np.uint8), count),
        "Withheld": (random.random(count) < 0.01).astype(np.uint8),
        "Intensity": np.arange(count).astype(np.uint16),
        "GpsTime": np.arange(count) / 7,
        "ReturnNumber": random.integers(1, 4, count).astype(np.uint8),
    }
    place = np.searchsorted(cuts, xyz[:, 0] - 85_000, side="right")
    files = []
    for number in range(len(cuts) + 1):
        some = place == number
        files.append(
            write(folder / f"{number}.las", xyz[some], **{name: column[some] for name, column in dims.items()})
        )
    return Road(folder, files, joined(files, folder / "whole.las"), {})


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    return road_of(tmp_path_factory.mktemp("road"), 6000, [31.0, 31.5, 80.0])


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Road:
    return road_of(tmp_path_factory.mktemp("one"), 6000, [])


def check_written(outputs: Sequence[Path], inputs: Sequence[Path], untiled: PointCloud, target: Path) -> None:
    """Outputs are what the untiled run gives, whose file is ``target``: attributes to the bit, flags, and coordinates
    but for the last digit of those that lie at a rounding border."""
    found, expected = np.concatenate([records(path) for path in outputs]), records(target)
    assert found.dtype == expected.dtype
    assert [len(records(path)) for path in outputs] == [len(records(path)) for path in inputs]
    for name in found.dtype.names:
        if name not in ("X", "Y", "Z", "Displacement", "Uncertainty", "NoiseLevel", "Energy"):
            assert (found[name] == expected[name]).all(), name
    for name in {"Displacement", "Uncertainty", "NoiseLevel", "Energy"} & {*found.dtype.names}:
        # How thick a plane is, of which Uncertainty is made, is a small difference of large numbers.
        close = 1e-3 if name == "Uncertainty" else 1e-5
        assert np.allclose(found[name], expected[name], rtol=close, atol=1e-6, equal_nan=True), name
    whole = np.column_stack([expected[name] for name in "XYZ"]).astype(np.int64)
    tiled = np.column_stack([found[name] for name in "XYZ"]).astype(np.int64)
    off = np.abs(tiled - whole)
    assert off.max() <= 1
    steps = untiled.xyz / 0.001  # scale 1 mm, no offset
    border = np.abs(steps - np.floor(steps) - 0.5)
    assert (border[off > 0] * 0.001 < 1e-6).all()
    assert (off > 0).mean() < 1e-4


def check_figures(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Figures of a stage, as reports have them: counts to the unit, the rest as exact as sums are."""
    for name, value in expected.items():
        other = found[name]
        if isinstance(value, dict):
            check_figures(other, value)
        elif isinstance(value, float):
            share = 1e-3 if "median" in name or name.startswith("p") or "square_unit" in name else 1e-6
            # One point's, which is promised to a hundred-thousandth of the spacing: what is summed is nearer.
            share = 1e-5 if name == "max" else share
            assert other == pytest.approx(value, rel=share, abs=1e-9), name
        else:
            assert other == value, name


def stages_of(result: Any) -> list[dict[str, Any]]:
    return [stage for stage in result.report["stages"] if stage["type"].startswith("filters.")]


@pytest.mark.parametrize(
    ("many", "side"),
    [(True, None), (True, 31.37), (False, None), (False, 17.9), pytest.param(True, 3.9, marks=pytest.mark.long),
     pytest.param(False, 1.93, marks=pytest.mark.long)],
)  # fmt: skip
def test_no_seams(many: bool, side: float | None, road: Road, one_file: Road, tmp_path: Path) -> None:
    from deburr.batch.outputs import stages_of as merged_stages

    here = road if many else one_file
    untiled = here.untiled(CHAIN)
    prepared, account = batch(CHAIN, here.files, tmp_path / "out", tile=side)
    outputs = [tmp_path / "out" / path.name for path in here.files]
    check_written(outputs, here.files, untiled.cloud, here.folder / untiled.report["stages"][-1]["figures"]["file"])
    for found, expected in zip(merged_stages(prepared, account), stages_of(untiled), strict=True):
        check_figures(found["figures"], expected["figures"])
    assert sum(tile["unproved"] for tile in account.tiles.values()) == 0
    if side is not None:
        assert len(account.tiles) > len(here.files)


@pytest.mark.parametrize("many", [True, False])
def test_no_seams_where_surveys_take_samples(
    many: bool, road: Road, one_file: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("core.sample", "nn.level"):
        monkeypatch.setattr(f"deburr.{module}.ENOUGH", 3000)
    monkeypatch.setattr("deburr.core.sample._CELL", 100)
    here = road if many else one_file
    untiled = run(["filters.spd", RADIUS], input=here.whole, output=tmp_path / "whole.las")
    prepared, _ = batch(["filters.spd", RADIUS], here.files, tmp_path / "out", tile=33.7)
    assert Sample.of(prepared.job.store.extent) is not None
    assert (
        untiled.report["stages"][1]["figures"]["noise"] != here.untiled(CHAIN).report["stages"][2]["figures"]["noise"]
    )
    check_written(
        [tmp_path / "out" / path.name for path in here.files], here.files, untiled.cloud, tmp_path / "whole.las"
    )


CHAINS: dict[str, list[Any]] = {
    "removed": [{**OUTLIER, "action": "remove"}, "filters.metrics"],
    "withheld by radius": [{**RADIUS, "action": "withhold"}, "filters.metrics"],
    "removed twice": [{**RADIUS, "action": "remove"}, {**OUTLIER, "multiplier": 1.0, "action": "remove"}],
    "one class": [{"type": "filters.spd", "noise": 0.03, "classes": [2, 6]}],
    "where": [{"type": "filters.spd", "noise": 0.03, "where": "ReturnNumber == 1 && Z < 1"}],
    "dimensions": [
        {
            "type": "filters.spd",
            "noise": 0.03,
            "dimensions": ["Displacement", "Uncertainty", "NoiseLevel", "Energy"],
        }
    ],
    "levels of all, moves of some": [{"type": "filters.spd", "classes": [6], "dimensions": ["NoiseLevel"]}],
    "removed, then denoised": [{**OUTLIER, "action": "remove"}, {"type": "filters.spd", "strength": 0.7}, RADIUS],
}


@pytest.mark.parametrize("name", CHAINS)
def test_no_seams_whatever_the_chain(name: str, road: Road, tmp_path: Path) -> None:
    untiled = road.untiled(CHAINS[name])
    prepared, account = batch(CHAINS[name], road.files, tmp_path / "out", tile=41.3)
    from deburr.batch.outputs import stages_of as merged_stages

    for found, expected in zip(merged_stages(prepared, account), stages_of(untiled), strict=True):
        check_figures(found["figures"], expected["figures"])
    outputs = [tmp_path / "out" / path.name for path in road.files]
    target = Path(untiled.report["stages"][-1]["figures"]["file"])
    kept = untiled.cloud.rows
    ends = np.cumsum([len(records(path)) for path in road.files])
    sizes = np.diff(np.searchsorted(kept, np.append(0, ends)))
    assert [len(records(path)) for path in outputs] == sizes.tolist()
    check_written(outputs, outputs, untiled.cloud, target)


@pytest.mark.parametrize("cells", [4, 16, 64])
def test_no_seams_of_cheap_stages_over_many_tiles(cells: int, one_file: Road, tmp_path: Path) -> None:
    spec = [OUTLIER, {**RADIUS, "class": 18}, "filters.metrics"]
    untiled = one_file.untiled(spec)
    _, account = batch(spec, one_file.files, tmp_path / "out", tile=121.0 / cells)
    assert len(account.tiles) >= cells
    outputs = [tmp_path / "out" / path.name for path in one_file.files]
    check_written(outputs, one_file.files, untiled.cloud, Path(untiled.report["stages"][-1]["figures"]["file"]))


def test_two_workers_see_no_seams(road: Road, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(CHAIN))
    result = cli("batch", "spec.json", *road.files, "--out", "out", "--workers", "2", "--tile", "47.1", "--quiet")
    assert result.exit_code == 0, result.stderr
    untiled = road.untiled(CHAIN)
    outputs = [tmp_path / "out" / path.name for path in road.files]
    check_written(outputs, road.files, untiled.cloud, Path(untiled.report["stages"][-1]["figures"]["file"]))


def test_what_a_batch_did_a_batch_undoes(road: Road, tmp_path: Path) -> None:
    spec = [{"type": "filters.spd", "noise": 0.03, "keep_original": True}]
    batch(spec, road.files, tmp_path / "clean", tile=41.3)
    cleaned = [tmp_path / "clean" / path.name for path in road.files]
    assert any((records(a)["X"] != records(b)["X"]).any() for a, b in zip(cleaned, road.files, strict=True))
    batch([{"type": "filters.restore"}], cleaned, tmp_path / "back", tile=29.0)
    for path in road.files:
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()


def beside_the_border(path: Path, folder: Path) -> Path:
    """The part of a file of AHN3 that lies within 40 m of the border between the two, 90 m of it."""
    import laspy

    cloud = laspy.read(path)
    near = (np.abs(np.asarray(cloud.x) - 85_000) < 40) & (np.asarray(cloud.y) < 447_500)
    part = laspy.LasData(cloud.header, cloud.points[near])
    part.write(folder / path.name)
    return folder / path.name


@pytest.mark.alldata
@pytest.mark.long
def test_two_airborne_files_are_cleaned_as_one(data_dir: Path, cli: Cli, tmp_path: Path) -> None:
    folder = data_dir / "data" / "lidar"
    files = [beside_the_border(folder / f"3dfier_ahn3_cropped_{number}.laz", tmp_path) for number in (1, 2)]
    (tmp_path / "spec.json").write_text(json.dumps(CHAIN))
    untiled = run(CHAIN, input=joined(files, tmp_path / "whole.laz"), output=tmp_path / "whole_out.laz")
    expected = stages_of(untiled)
    for extra in (("--tile", "40"), ("--workers", "2")):
        result = cli("batch", "spec.json", *files, "--out", "out", "--quiet", *extra)
        assert result.exit_code == 0, result.stderr
        outputs = [tmp_path / "out" / path.name for path in files]
        assert result.stdout.split() == [f"out/{path.name}" for path in files]
        check_written(outputs, files, untiled.cloud, tmp_path / "whole_out.laz")
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        for found, one in zip(report["stages"], expected, strict=True):
            check_figures(found["figures"], one["figures"])
        for path in (tmp_path / "out").iterdir():
            path.unlink()


def test_tiles_without_points_of_their_own_are_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = PointCloud(np.random.default_rng(0).random((50, 3)))
    stage = stage_class("filters.outlier").model_validate({})
    assert isinstance(stage, Filter)
    monkeypatch.setattr(type(stage), "run", lambda *_: pytest.fail("there is nothing to do"))
    view, box = tiling.Memory(cloud, np.zeros(50, np.int32)), (np.array([2.0, 0.0]), np.array([3.0, 1.0]))
    done = process(view, Work([stage], [{}]), Core(*box, (0,)), 5.0, 100)
    assert [len(piece.rows) for piece in done.pieces] == [0]
    survey = process(view, Work([], [], stage), Core(*box, (0,)), 5.0, 100)
    found = survey.sums[0]["distances"]
    assert isinstance(found, Exact)
    assert found.count == 0
    some = {"distances": Exact.of(np.array([1.0, 2.0]))}
    assert merge([{}, some, merge(survey.sums), some])["distances"] == some["distances"] + some["distances"]
    assert merge([{}, {}]) == {}


def test_points_in_a_long_row_make_as_many_clusters() -> None:
    plan = np.column_stack((np.arange(1500.0), np.zeros(1500)))
    found = list(_clusters(plan, np.arange(1500), 0.1))
    assert sorted(int(core.keys[0]) for core in found if core.keys is not None) == list(range(1500))


# -- nothing lost ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small_tiles() -> Iterator[None]:
    """Memory in which a tile of 60 points is large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "BASE", 0)
        patch.setattr(memory, "PER_POINT", 1)
        patch.setattr(memory, "_FEWEST", 60)
        yield


def lattice_files(random: Any, folder: Path) -> list[Path]:
    """Up to five files of points on a coarse lattice, so that they lie on every border that a tiling can have: in
    strips that meet, or one upon the other; with twins in and between them, a file without points among them."""
    step = random.choice([0.25, 0.1])
    origin = random.choice([[0.0, 0.0, 0.0], [500_000.0, 5_400_000.0, 12.0], [-3.0, -7.5, 0.0]])
    count, kind = int(random.integers(1, 200)), int(random.choice([6, 7]))
    ticks = random.integers(0, 1 + round(8 / step), (count, 3))
    place = random.integers(0, 5, count) if random.random() < 0.4 else ticks[:, 0] // random.integers(1, 40)
    files = []
    for number in range(int(random.integers(1, 6))):
        some = np.flatnonzero(np.minimum(place, 4) == number) if random.random() < 0.9 else ticks[:0, 0]
        dims = {
            "GpsTime": 1000.0 * number + np.arange(len(some)),  # names a point
            "Intensity": random.integers(0, 60_000, len(some)).astype(np.uint16),
            "Classification": random.choice(np.array([1, 2, 7, 200], np.uint8), len(some)),
            "Withheld": (random.random(len(some)) < 0.1).astype(np.uint8),
            "ScanAngleRank": (random.integers(-9000, 9000, len(some)) * 0.006).astype(np.float32),
            "Wild": random.normal(size=len(some)),
        }
        files.append(write(folder / f"{number}.las", ticks[some] * step + origin, step, kind=kind, **dims))
    return files


def check_nothing_lost(seed: int, folder: Path) -> None:
    """One random cloud in random files, in random tilings."""
    random = np.random.default_rng(seed)
    folder.mkdir()
    files = lattice_files(random, folder)
    before = [records(path) for path in files]
    for number in range(5):
        spec: list[Any] = [[], [{"type": "filters.noise", "sigma": 0}], [RADIUS]][
            int(random.choice(3, p=[0.4, 0.4, 0.2]))
        ]
        side = float(random.choice([1.0, 2.0, 2.0, 2.5, 3.1, *random.uniform(1.5, 9.0, 5)]))
        choices: list[dict[str, Any]] = [{}, {"tile": side}, {"memory": 60}, {"retile": side}]
        more = choices[number % 4]
        if number == 3 and random.random() < 0.5:
            more["memory"] = 60
        out = folder / f"out-{number}"
        batch(spec, files, out, **more)
        flagged = outliers(files) if RADIUS in spec and more.get("memory") is None else None
        if "retile" in more:
            check_cells(out, more["retile"], files, before)
            continue
        for place, (path, expected) in enumerate(zip(files, before, strict=True)):
            found = records(out / path.name)
            assert found.dtype == expected.dtype
            if flagged is not None:
                expected = expected.copy()
                expected["classification"][flagged[place]] = 7
            elif RADIUS in spec:
                expected = expected.copy()
                expected["classification"] = found["classification"]
            assert found.tobytes() == expected.tobytes(), (seed, number, more, spec)


def outliers(files: Sequence[Path]) -> list[Any]:
    """Which points of each file are outliers in the cloud of all of them."""
    import laspy

    xyz = [laspy.read(path).xyz for path in files]
    stage = stage_class("filters.outlier").model_validate({k: v for k, v in RADIUS.items() if k != "type"})
    assert isinstance(stage, Filter)
    flagged = stage.run(PointCloud(np.concatenate(xyz))).dims["Classification"] == 7
    return np.split(flagged, np.cumsum([len(part) for part in xyz])[:-1])


def check_cells(out: Path, side: float, files: Sequence[Path], before: Sequence[Ints]) -> None:
    """Every point is in the cell that its coordinates say, file after file, in its file's order; no cell is empty."""
    import laspy

    paths = sorted(path for path in out.iterdir() if path.suffix == ".las")
    xyz = np.concatenate([laspy.read(path).xyz[:, :2] for path in files])
    every = np.concatenate(before)
    cells = np.floor(xyz / side)
    cells += xyz >= (cells + 1) * side
    cells -= xyz < cells * side
    places, which = np.unique(cells, axis=0, return_inverse=True)
    assert len(paths) == len(places)
    for number in range(len(places)):
        expected = every[which.reshape(-1) == number]
        (path,) = (path for path in paths if records(path)["gps_time"][0] == expected["gps_time"][0])
        found = records(path)
        for name in found.dtype.names:
            if name != "classification":
                assert (found[name] == expected[name]).all(), name


def test_nothing_is_lost(small_tiles: None, tmp_path: Path) -> None:
    for seed in range(16):
        check_nothing_lost(seed, tmp_path / str(seed))


@pytest.mark.long
@pytest.mark.parametrize("part", range(8))
def test_nothing_is_lost_in_a_thousand_tilings(part: int, small_tiles: None, tmp_path: Path) -> None:
    for seed in range(1000 + 25 * part, 1025 + 25 * part):
        check_nothing_lost(seed, tmp_path / str(seed))
