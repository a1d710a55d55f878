"""A page of any two clouds, or of one: what `pipeline view` makes."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.addresses import is_address, name_of, shown
from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud
from deburr.core.crs import words as crs
from deburr.core.errors import RunError
from deburr.core.stage import Reader
from deburr.pipeline.apart import check_apart
from deburr.pipeline.plan import load
from deburr.show.page import facts, page
from deburr.show.page.scene import Scene, of_two
from deburr.show.sight import drawable

#: Points read at a time where only those in a box are wanted.
_CHUNK = 500_000


def view(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str] | None,
    path: str | os.PathLike[str],
    box: Sequence[float] | None = None,
) -> Scene:
    """Write the page of the clouds in ``before`` and ``after``, or of one alone, under ``path``; returns what it shows.

    Clouds of as many points in the same order are told as the same points, before and after. ``box``: low x, low y,
    high x, high y: of the first, only points in it. Raises `SpecError`, `ReadError`, `RunError`, `WriteError`.
    """
    names = [os.fspath(before)] + ([] if after is None else [os.fspath(after)])
    check_apart(dict.fromkeys((Path(name) for name in names if not is_address(name)), "an input"), [path])
    readers = [_reader(name) for name in names]
    clouds = [_read(readers[0], box, None)]
    if after is not None:
        same = box is not None and len({reader.outline().extent.count for reader in readers}) == 1
        clouds.append(_read(readers[1], box, clouds[0] if same else None))
    if not any(drawable(cloud).any() for cloud in clouds):
        raise RunError(f"{' and '.join(names)}: there is no point to be seen; give another file or box")
    scene = of_two(clouds[0], clouds[1] if len(clouds) == 2 else None)
    short = _short(names)
    page.write(Path(path), " → ".join(short), scene, _facts(clouds, scene, short))
    return scene


def _reader(name: str) -> Reader:
    reader = load([name], reads=True).reader
    assert reader is not None
    return reader


def _read(reader: Reader, box: Sequence[float] | None, like: PointCloud | None) -> PointCloud:
    """All points, those in the ``box``, or the rows that ``like`` has."""
    if box is None:
        return reader.read()
    parts: list[PointCloud] = []
    for part in reader.parts(_CHUNK):
        keep = _inside(part.xyz, box) if like is None else np.isin(part.rows, like.rows)
        if keep.any() or not parts:
            parts.append(part.select(keep))
    dims = {name: np.concatenate([part.dims[name] for part in parts]) for name in parts[0].dims}
    xyz, rows = (np.concatenate([getattr(part, name) for part in parts]) for name in ("xyz", "rows"))
    return PointCloud(xyz, dims, rows=rows, crs=parts[0].crs)


def _inside(xyz: Floats, box: Sequence[float]) -> Bools:
    low, high = np.array(box[:2]), np.array(box[2:])
    return np.asarray(((xyz[:, :2] >= low) & (xyz[:, :2] < high)).all(axis=1))


def _short(names: Sequence[str]) -> list[str]:
    """Files by their names alone; by those of their folders too where a batch has left the names as they were."""
    short = [name_of(name) for name in names]
    if len(set(short)) == len(short):
        return short
    folders = [posixpath.dirname(shown(name)) if is_address(name) else Path(name).resolve().parent for name in names]
    return [os.path.join(os.path.basename(folder), name) for folder, name in zip(folders, short, strict=True)]


def _counted(name: str, cloud: PointCloud) -> list[list[str]]:
    nowhere = len(cloud) - int(cloud.located.sum())
    lines = [[name, f"{len(cloud):,} points"]]
    return lines + ([["without coordinates", f"{nowhere:,} points, not shown"]] if nowhere else [])


def _facts(clouds: Sequence[PointCloud], scene: Scene, names: Sequence[str]) -> dict[str, Any]:
    told = [line for name, cloud in zip(names, clouds, strict=True) for line in _counted(name, cloud)]
    last = clouds[-1]
    if scene.paired and len(clouds) == 2:
        last = PointCloud(last.xyz, last.dims, original=clouds[0].xyz, crs=last.crs or clouds[0].crs)
    found = facts.of_cloud(last)
    unit = crs.length_unit(last)
    if len(clouds) == 1:
        found["headline"] = f"{len(last):,} points"
    elif not scene.paired:
        found["headline"] = f"{len(clouds[0]):,} points before, {len(last):,} after"
    return {"stages": [{"name": "files", "lines": told, "warnings": []}], "unit": unit, **found}
