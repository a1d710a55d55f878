"""The promises that every stage keeps. `check` holds a registered stage to all of them; pytest is not needed.

What a broken promise says is an AssertionError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError
from deburr.core.figure import merged
from deburr.core.registry import by_extension, stage_class
from deburr.core.stage import Filter, Reader, Stage, Writer
from deburr.testing import tiling


def example_options(type_name: str) -> dict[str, Any]:
    """Options that build a stage of ``type_name``: its example, and a file name for readers and writers."""
    stage = stage_class(type_name)
    options = dict(stage.example)
    if issubclass(stage, Reader | Writer):
        options.setdefault("filename", f"cloud.{stage.extensions[-1]}")
    return options


def build(type_name: str, options: Mapping[str, Any] | None = None) -> Stage:
    """A stage with its example options, and ``options`` on top of them."""
    return stage_class(type_name).model_validate({**example_options(type_name), **(options or {})})


def as_json(stage: Stage) -> Any:
    """The options of ``stage`` as they stand in a JSON file."""
    return json.loads(stage.model_dump_json(by_alias=True))


def surface(count: int = 400, columns: bool = True) -> PointCloud:
    """A wavy surface far from the origin, with columns of several types; points 3 and 5 do not count."""
    random = np.random.default_rng(7)
    plan = random.uniform(0, 10, (count, 2))
    z = np.sin(plan[:, 0]) + random.normal(0, 0.02, count)
    xyz = np.column_stack([plan, z]) + np.array([500_000.0, 5_400_000.0, 100.0])
    if not columns:
        return PointCloud(xyz)
    classification = np.full(count, 2, np.uint8)
    classification[3] = 7
    withheld = np.zeros(count, np.uint8)
    withheld[5] = 1
    intensity = random.integers(0, 65535, count).astype(np.uint16)
    gps_time = random.uniform(0, 1e9, count)
    dims: dict[str, Any] = {
        "Classification": classification,
        "Withheld": withheld,
        "Intensity": intensity,
        "GpsTime": gps_time,
    }
    return PointCloud(xyz, dims)


def doubled(cloud: PointCloud) -> PointCloud:
    """Half of the points of ``cloud``, each of them twice; only their rows differ."""
    return replace(cloud.select(np.arange(len(cloud)) // 2), rows=cloud.rows)


def prepared(cloud: PointCloud, stage: Stage) -> PointCloud:
    """``cloud`` with what ``stage`` needs: coordinates for dimensions whose names end in X, Y or Z, else zeros."""
    letters = {"X": cloud.xyz[:, 0], "Y": cloud.xyz[:, 1], "Z": cloud.xyz[:, 2]}
    missing = stage.needs - cloud.dims.keys()
    return cloud.with_dims({name: letters.get(name[-1], np.zeros(len(cloud))) for name in sorted(missing)})


def frozen(cloud: PointCloud) -> PointCloud:
    """The same cloud in arrays that nobody can write to."""

    def lock(array: Any) -> Any:
        array = array.copy()
        array.setflags(write=False)
        return array

    xyz = lock(cloud.xyz)
    return replace(
        cloud, xyz=xyz, original=xyz, rows=lock(cloud.rows), dims={n: lock(c) for n, c in cloud.dims.items()}
    )


def fingerprint(cloud: PointCloud) -> dict[str, bytes]:
    """The bytes of every array of ``cloud``."""
    arrays = {"xyz": cloud.xyz, "original": cloud.original, "rows": cloud.rows, **cloud.dims}
    return {name: array.tobytes() for name, array in arrays.items()}


def check_options_round_trip(type_name: str, options: Mapping[str, Any] | None = None) -> None:
    """A stage's JSON builds an equal stage, and the JSON does not change on the way."""
    stage = build(type_name, options)
    again = type(stage).model_validate(as_json(stage))
    assert again == stage
    assert as_json(again) == as_json(stage)


def check_declarations(type_name: str) -> None:
    """A stage says who it is and what it must see; every option is described."""
    stage = build(type_name)
    assert stage.type_name == type_name
    assert isinstance(stage.needs, frozenset)
    assert isinstance(stage.gives, frozenset)
    assert type(stage).__doc__
    for name, field in type(stage).model_fields.items():
        assert field.description, f"{type_name}: option '{name}' has no description"


def check_filter(stage: Filter, cloud: PointCloud) -> PointCloud:
    """What holds of every filter on every cloud; returns its result."""
    cloud = frozen(prepared(cloud, stage))
    before, history = fingerprint(cloud), cloud.history
    result = stage.run(cloud)
    assert fingerprint(cloud) == before
    assert cloud.history == history
    # Points keep their order, and where they were read; who removes some says so, or adds some behind them.
    left = np.isin(cloud.rows, result.rows)
    assert (left.all() and len(result) == len(cloud)) or not stage.keeps_count
    old = int(left.sum())
    assert result.rows[:old].tolist() == cloud.rows[left].tolist()
    assert result.original[:old].tobytes() == cloud.original[left].tobytes()
    assert result.history[: len(history)] == history
    assert np.isfinite(result.xyz).all()
    for name, column in cloud.dims.items():
        if name not in stage.takes:
            assert result.dims[name].dtype == column.dtype
    assert stage.gives <= result.dims.keys()
    assert not stage.takes & result.dims.keys()
    for record in result.history[len(history) :]:
        assert record.stage == stage.type_name
        json.dumps(record.figures, allow_nan=False)
        assert not merged([record.figures], stage.reports)[1], "every figure must stand in 'reports'"
    skip = ~cloud.active & left
    assert result.xyz[:old][skip[left]].tobytes() == cloud.xyz[skip].tobytes()
    return result


def check_permutation(stage: Filter, cloud: PointCloud, tolerance: float) -> None:
    """Points in another order give the same points in that order, up to ``tolerance`` in the cloud's units."""
    cloud = prepared(cloud, stage)
    order = np.random.default_rng(3).permutation(len(cloud))
    straight, turned = stage.run(cloud), stage.run(cloud.select(order))
    straight, turned = (one.select(np.argsort(one.rows, kind="stable")) for one in (straight, turned))
    assert straight.rows.tolist() == turned.rows.tolist()
    assert np.abs(straight.xyz - turned.xyz).max(initial=0.0) <= tolerance
    for name, column in straight.dims.items():
        assert (column == turned.dims[name]).all(), name


def check_tiles(stage: Filter, cloud: PointCloud, side: float, halo: float, tolerance: float = 0.0) -> None:
    """Cut into cells of ``side``, the cloud becomes what it becomes as a whole, up to ``tolerance`` in its units; the
    filter names all columns that it changes, and does not miss those it does not name."""
    cloud = prepared(cloud, stage)
    whole = stage.run(cloud)
    if stage.looks_at is not None:
        left = np.isin(cloud.rows, whole.rows)
        old = int(left.sum())
        same = {n for n in whole.dims.keys() & cloud.dims if (whole.dims[n][:old] == cloud.dims[n][left]).all()}
        changed = whole.dims.keys() - same
        assert changed | (cloud.dims.keys() - whole.dims.keys()) <= stage.looks_at | stage.gives
        cloud = replace(cloud, dims={name: cloud.dims[name] for name in cloud.dims.keys() & stage.looks_at})
    boxes = tiling.cells(cloud, cloud.extent.low[:2] - side / 3, np.array([side, side]))
    tiled, figures, done = tiling.tiled([stage], frozen(cloud), boxes, halo)
    assert sum(tile.unproved for tile in done) == 0
    assert tiled.rows.tolist() == whole.rows.tolist()
    assert np.abs(tiled.xyz - whole.xyz).max(initial=0.0) <= tolerance
    for name, column in tiled.dims.items():
        assert (column == whole.dims[name]).all(), name
    records = [record.figures for tile in done for record in tile.records[0]]
    whole_figures = whole.history[-1].figures
    for name, figure in (merged(records, stage.reports)[0] | figures[0]).items():
        assert figure == whole_figures[name], name


def check_writer(type_name: str, folder: Path) -> None:
    """A writer leaves the points alone, leaves one file, and a reader of its extension finds the points again."""
    options = example_options(type_name)
    path = folder / options["filename"]
    cloud = frozen(surface(50))
    before = fingerprint(cloud)
    writer = stage_class(type_name).model_validate({**options, "filename": str(path)})
    assert isinstance(writer, Writer)
    result = writer.write(cloud)
    assert fingerprint(cloud) == before == fingerprint(result)
    assert [record.stage for record in result.history] == [type_name]
    assert [entry.name for entry in folder.iterdir()] == [path.name]
    kind = by_extension("readers", path)
    if kind is not None:
        reader = stage_class(kind).model_validate({"filename": str(path)})
        assert isinstance(reader, Reader)
        # LAS may quantise to a centimetre.
        assert np.abs(reader.read().xyz - cloud.xyz).max() <= 0.011


def check_reader(type_name: str, folder: Path) -> None:
    """A reader names a file that is missing."""
    reader = stage_class(type_name).model_validate({"filename": str(folder / "nowhere.file")})
    assert isinstance(reader, Reader)
    said = ""
    try:
        reader.read()
    except ReadError as error:
        said = str(error)
    assert "nowhere.file" in said


def check(type_name: str, options: Mapping[str, Any] | None = None, tolerance: float = 0.0) -> None:
    """All promises that concern a stage of ``type_name``, on small clouds; ``options`` come on top of its example's: a
    model of filters.spd is held to them by ``{"model": ...}``. ``tolerance``: of its results in tiles, in the units of
    a cloud whose points lie about 0.5 apart."""
    check_declarations(type_name)
    check_options_round_trip(type_name, options)
    stage = build(type_name, options)
    assert (wrong := stage.check(())) == [], wrong
    with TemporaryDirectory() as folder:
        if isinstance(stage, Writer):
            check_writer(type_name, Path(folder))
        elif isinstance(stage, Reader):
            check_reader(type_name, Path(folder))
    if not isinstance(stage, Filter):
        return
    for cloud in (surface(), surface(10).select(np.zeros(10, np.bool_))):
        check_filter(stage, cloud)
    for cloud in (surface(600), doubled(surface(600))):
        check_permutation(stage, cloud, 1e-4)
    reach = stage.reach({})
    if reach is not None:
        # Much less than the stage asks for is too narrow: that is for the stage to find out.
        narrow = reach.length / 8 + reach.hops / 2
        for count, halo in ((400, 1.0), (60, 1.0), (400, narrow)):
            check_tiles(stage, surface(count), side=3.0, halo=halo, tolerance=tolerance)
