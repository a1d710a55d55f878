"""The doors through which foreign text enters, each a function of bytes, and what must hold of all that it lets in.

A door takes the bytes of one case and a folder, and either returns or raises one of deburr's own errors. Whatever it
returns it has checked first: what was let in means the same on the way out.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from deburr.batch.inputs import expand
from deburr.batch.ledger import Ledger
from deburr.batch.records import is_sound
from deburr.batch.work import results_of, still_there
from deburr.core.addresses import Address
from deburr.core.crs import lonlat, wkt
from deburr.core.crs import words as crs
from deburr.core.crs.same import one_system
from deburr.core.neighbors import threads
from deburr.core.sums import from_json
from deburr.filters._mesh import read_mesh
from deburr.formats.las.crs import read_crs, unfit_crs
from deburr.formats.las.records import Vlr
from deburr.pipeline import load
from deburr.pipeline.resolve import Override
from deburr.plugins.pdal import preset
from deburr.plugins.pdal.convert.convert import as_text, convert
from deburr.readers.e57 import E57
from deburr.readers.pcd import Pcd
from deburr.readers.ply import Ply
from deburr.readers.text import Text
from deburr.train.checkpoint import seal
from deburr.train.loop import Trainer
from deburr.train.recipe import Recipe, read_recipe
from deburr.writers._ply_fields import Dialect, Vertices, others
from deburr.writers.e57 import E57 as E57Writer
from deburr.writers.pcd import Pcd as PcdWriter
from deburr.writers.ply import Ply as Writer
from deburr.writers.text import Text as TextWriter

Door = Callable[[bytes, Path], None]


def spec(data: bytes, folder: Path) -> None:
    path = folder / "spec.json"
    path.write_bytes(data)
    plan = load(path)
    again = load(plan.as_json())
    assert again.as_json() == plan.as_json()


def override(data: bytes, folder: Path) -> None:
    name, _, value = data.decode("utf-8", "surrogateescape").partition("=")
    change = Override.from_name(name or "filters.spd.noise", value)
    load(["a.las", {"type": "filters.spd", "tag": "t"}, "b.las"], overrides=[change])


def crs_text(data: bytes, folder: Path) -> None:
    _, told = read_crs([Vlr(b"LASF_Projection", 2112, data + b"\0"), Vlr(b"LASF_Projection", 34735, data)])
    text = data.decode("utf-8", "replace")
    for unit in (told.plan, told.height, wkt.units(text).plan):
        assert unit is None or (unit.name.isprintable() and len(unit.name) <= 40 and "$" not in unit.name)
        assert unit is None or unit.metres is None or 0 < unit.metres < math.inf
    name = crs.name(text)
    assert name.isprintable()
    assert len(name) <= 80
    assert crs.unit(text).isprintable()
    assert one_system([text, text])
    one_system([text, 'PROJCS["x",UNIT["metre",1]]'])
    place = lonlat.of(text, np.array([[5e5, 5.6e6], [0.0, 0.0]]))
    assert place is None or (np.isfinite(place).all() and (np.abs(place) <= (180, 90)).all())
    assert all(len(problem) < 300 for problem in unfit_crs("a_srs", text))


def ply(data: bytes, folder: Path) -> None:
    path = folder / "in.ply"
    path.write_bytes(data)
    cloud = Ply(filename=str(path)).read()
    writer, kind = Writer(filename=str(folder / "out.ply")), cloud.source.header.format  # type: ignore[attr-defined]
    fields = Vertices(cloud, kind == "ascii", str(path)).fields()
    for dialect in get_args(Dialect):
        named = [field.property.name for field in Vertices(cloud, False, str(path), dialect).fields()]
        assert len(set(named)) == len(named) == len(fields)
    written = b"".join(writer._blocks(cloud, kind, fields, others(cloud, str(path))[0]))
    Path(writer.filename).write_bytes(written)
    again = Ply(filename=writer.filename).read()
    assert len(again) == len(cloud)
    assert again.xyz.tobytes() == cloud.xyz.tobytes() or np.array_equal(again.xyz, cloud.xyz, equal_nan=True)
    assert again.dims.keys() == cloud.dims.keys()
    for name, column in cloud.dims.items():
        assert np.array_equal(again.dims[name], column, equal_nan=column.dtype.kind == "f"), name


def text(data: bytes, folder: Path) -> None:
    """A table, PTS or PTX: what is let in comes out byte by byte, and means the same where it moved."""
    path = folder / "in.txt"
    path.write_bytes(data)
    cloud = Text(filename=str(path)).read()
    writer = TextWriter(filename=str(folder / "out.txt"))
    writer.write(cloud)
    assert Path(writer.filename).read_bytes() == data
    place = int(np.abs(np.nan_to_num(cloud.xyz, posinf=0, neginf=0)).max(initial=0.0) < 1e15)
    moved = cloud.with_xyz(cloud.xyz + place)
    figures = writer.write(moved).history[-1].figures
    again = Text(filename=writer.filename).read()
    if len(again) == len(cloud):  # a pixel of a grid may have come to lie where the scanner stands
        limit = 1e-6 * (1 + np.abs(moved.xyz[moved.located])) + 2 * figures.get("coordinate_rounding_max", 0)
        if cloud.source.kind != "ptx":  # type: ignore[attr-defined]
            assert (np.abs(again.xyz - moved.xyz)[moved.located] <= limit).all()
        for name, column in cloud.dims.items():
            assert np.array_equal(again.dims[name], column, equal_nan=column.dtype.kind == "f"), name


def pcd(data: bytes, folder: Path) -> None:
    path = folder / "in.pcd"
    path.write_bytes(data)
    cloud = Pcd(filename=str(path)).read()
    for kind in ("default", "ascii", "binary", "compressed"):
        writer = PcdWriter.model_validate({"filename": str(folder / "out.pcd"), "compression": kind})
        writer.write(cloud)
        again = Pcd(filename=writer.filename).read()
        assert np.array_equal(again.xyz, cloud.xyz, equal_nan=True), kind
        assert again.dims.keys() == cloud.dims.keys()
        for name, column in cloud.dims.items():
            assert np.array_equal(again.dims[name], column, equal_nan=column.dtype.kind == "f"), (kind, name)


def e57(data: bytes, folder: Path) -> None:
    path = folder / "in.e57"
    path.write_bytes(data)
    cloud = E57(filename=str(path)).read()
    E57Writer(filename=str(folder / "out.e57")).write(cloud)
    again = E57(filename=str(folder / "out.e57")).read()
    assert np.array_equal(again.xyz, cloud.xyz, equal_nan=True)
    assert again.dims.keys() == cloud.dims.keys()
    for name, column in cloud.dims.items():
        assert np.array_equal(again.dims[name], column, equal_nan=column.dtype.kind == "f"), name


def mesh(data: bytes, folder: Path) -> None:
    path = folder / {b"p": "in.ply", b"v": "in.obj"}.get(data[:1], "in.stl")
    path.write_bytes(data)
    found = read_mesh(str(path))
    if found is None:
        return
    assert len(found.triangles)
    corners = found.vertices[found.triangles].reshape(-1, 3)
    assert found.distances(corners).max() <= 1e-9 * np.abs(corners).max()


def recipe(data: bytes, folder: Path) -> None:
    path = folder / "recipe.json"
    path.write_bytes(data)
    found = read_recipe(str(path))
    assert Recipe.model_validate_json(found.model_dump_json()) == found


_RECIPE = Recipe(output="x.safetensors", steps=3, channels=8, heads=1, layers=1)


@cache
def trainer() -> Trainer:
    return Trainer(_RECIPE)


@cache
def sealed() -> bytes:
    """The checkpoint of a run that has made one step."""
    own = trainer()
    for parameter in own.networks.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    own.optimizer.step()
    own.step, own.seconds, own.points, own.running = 1, 2.5, 100, {"score": 1.25}
    return packed(seal(own.state([{"steps": 3}])))


def packed(state: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def checkpoint(data: bytes, folder: Path) -> None:
    path = folder / "x.ckpt"
    path.write_bytes(data)
    own = trainer()
    own.restore(path)
    assert own.step >= 0
    assert all(math.isfinite(value) for value in own.running.values())
    assert all(bool(torch.isfinite(value).all()) for value in own.average.values())
    for parameter in own.networks.parameters():
        parameter.grad = torch.zeros_like(parameter)
    own.optimizer.step()


def pdal_options(data: bytes, folder: Path) -> None:
    text = data.decode("utf-8", "replace")
    words = tuple(text.split("\x1e")) if "\x1e" in text else (text,)
    preset.options("denoise", preset.parse_options(words))


def pdal_pipeline(data: bytes, folder: Path) -> None:
    path = folder / "theirs.json"
    path.write_bytes(data)
    found = convert(path, {"noise": 0.1})
    assert json.loads(as_text(found.value)) == json.loads(json.dumps(found.value))
    again = convert(found.value, {"noise": 0.1})
    assert not again.changed


def vpc(data: bytes, folder: Path) -> None:
    """A list of files, where some are: only these may come out."""
    for name in ("a.las", "b.laz", "c.las"):
        (folder / name).touch()
    path = folder / "x.vpc"
    path.write_bytes(data)
    for file in expand([str(path)]):
        assert isinstance(file, Address) or file.is_file()
        assert str(file).isprintable()


def ledger(data: bytes, folder: Path) -> None:
    """Whatever a ledger tells of, the work that would be spared by it can go on with, and the next line is sound."""
    path = folder / "ledger.jsonl"
    path.write_bytes(data)
    told = Ledger(path)
    for kind in ("survey", "clean", "write", "known", "failed", "memory", "input"):
        for key, record in told.of_kind(kind).items():
            assert is_sound(kind, record)
            if kind in ("survey", "clean", "write"):
                assert still_there(record) in (True, False)
                assert all(place >= 0 for place in results_of(record))
                for stage in record.get("stages", ()):
                    from_json(stage["sums"])
            assert told.get(kind, key) == record
    with told:
        told.add("key", "failed", {"error": "new"})
    assert Ledger(path).get("failed", "key") == {"error": "new"}


def environment(data: bytes, folder: Path) -> None:
    if b"\0" in data:
        return
    before = os.environ.get("DEBURR_THREADS")
    os.environb[b"DEBURR_THREADS"] = data
    try:
        assert 1 <= threads() <= 1000 or not data
    finally:
        if before is None:
            del os.environ["DEBURR_THREADS"]
        else:
            os.environ["DEBURR_THREADS"] = before
