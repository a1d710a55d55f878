"""Clouds that come in parts to be written one after another: what must hold of them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from deburr.core.cloud import Extent, PointCloud, extent_of
from deburr.core.errors import WriteError
from deburr.core.merging import merge
from deburr.core.stage import Writer

Columns = dict[str, tuple[Any, tuple[int, ...]]]


class _Unmade(Exception):
    """A part could not be made, for the reason ``error``; the output is not to be blamed."""

    def __init__(self, error: OSError) -> None:
        self.error = error
        super().__init__(str(error))


@contextmanager
def checked(parts: Iterable[PointCloud], extent: Extent, path: str) -> Generator[Iterator[PointCloud]]:
    """The ``parts``, which must share their columns and hold ``extent.count`` points in all to be written to ``path``.

    Raises `WriteError` while they are walked over, and whatever making them raises as it is: not even an `OSError` is
    taken for one of the file that is being written.
    """
    walk = _walk(parts, extent.count, path)
    try:
        yield walk
    except _Unmade as problem:
        raise problem.error from None
    finally:
        walk.close()


def _walk(parts: Iterable[PointCloud], count: int, path: str) -> Generator[PointCloud]:
    seen, columns = 0, None
    source = iter(parts)
    while True:
        try:
            part = next(source)
        except StopIteration:
            break
        except OSError as error:
            raise _Unmade(error) from error
        columns = columns_of(part) if columns is None else columns
        if (odd := differences(columns, columns_of(part))) or (seen := seen + len(part)) > count:
            what = f"differ in {odd}" if odd else f"hold more than the {count} points announced"
            raise WriteError(f"{path}: its parts {what}; nothing was written, run again from unchanged inputs")
        yield part
        del part  # gone before the next is made: two parts at a time would take twice the memory
    if columns is None:
        raise ValueError("at least one part is needed")
    if seen < count:
        raise WriteError(
            f"{path}: its parts hold {seen} points, not the {count} announced; "
            "nothing was written, run again from unchanged inputs"
        )


def beside_points(source: object, own: type) -> str:
    """What ``source`` holds beside points, as a list in words; '' for a writer's ``own`` kind, which it can write."""
    tell = getattr(source, "beside_points", None)
    return "" if tell is None or isinstance(source, own) else str(tell())


def columns_of(cloud: PointCloud) -> Columns:
    """Type and shape of each dimension's values."""
    return {name: (column.dtype, column.shape[1:]) for name, column in cloud.dims.items()}


def differences(one: Columns, other: Columns) -> str:
    """The dimensions that are not the same in both, '' for none."""
    return ", ".join(sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)))


def written_at_once(writer: Writer, parts: Iterable[PointCloud], extent: Extent) -> PointCloud:
    """What `Writer.write_parts` is to return, where ``writer`` needs all points together: those of each file that they
    come from, and then those of the next."""
    files: dict[int, list[PointCloud]] = {}
    for part in parts:
        files.setdefault(id(part.source), []).append(part)
    clouds = [_together(some) for some in files.values()]
    cloud, warnings = merge(clouds) if len(clouds) > 1 else (clouds[0], [])
    record = writer.write(cloud).history[-1]
    said = (*(f"{writer.filename}: {one}" for one in warnings), *record.warnings)
    return PointCloud(np.zeros((0, 3)), extent=extent, history=(replace(record, warnings=said),))


def _together(parts: list[PointCloud]) -> PointCloud:
    """The points of ``parts``, which share their columns and their source, in one cloud."""
    if len(parts) == 1:
        return parts[0]
    xyz = np.concatenate([part.xyz for part in parts])
    return replace(
        parts[0],
        xyz=xyz,
        dims={name: np.concatenate([part.dims[name] for part in parts]) for name in parts[0].dims},
        original=np.concatenate([part.original for part in parts]),
        rows=np.concatenate([part.rows for part in parts]),
        horizon=None,
        extent=extent_of(xyz),
    )
