"""A small cloud to be cut into files, and files written and read without a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.registry import stage_class
from deburr.core.stage import Reader, Writer


def village(count: int = 9000, noise: float = 0.03) -> Floats:
    """(N, 3): a hill with a step, 24 m wide, far from the origin, on a lattice of 1 mm."""
    random = np.random.default_rng(11)
    plan = random.uniform(0, 24, (count, 2))
    z = 0.5 * np.sin(plan[:, 0] / 3) + 2.0 * (np.abs(plan - 12).max(1) < 5)
    xyz = np.column_stack((plan, z)) + random.normal(0, noise, (count, 3)) + [85_000.0, 447_000.0, 0.0]
    return np.round(xyz, 3)


def write(path: Path, xyz: Floats, **dims: Any) -> None:
    kind = "writers.ply" if path.suffix == ".ply" else "writers.las"
    lattice = {f"scale_{a}": 0.001 for a in "xyz"} | {f"offset_{a}": 0.0 for a in "xyz"}
    options = {} if path.suffix == ".ply" else lattice
    writer = stage_class(kind).model_validate({"filename": str(path), **options})
    assert isinstance(writer, Writer)
    columns: dict[str, Any] = {
        "Intensity": np.arange(len(xyz), dtype=np.uint16),
        "Classification": np.full(len(xyz), 2, np.uint8),
    }
    writer.write(PointCloud(xyz, columns | dims))


def read(path: Path) -> PointCloud:
    kind = "readers.ply" if path.suffix == ".ply" else "readers.las"
    reader = stage_class(kind).model_validate({"filename": str(path)})
    assert isinstance(reader, Reader)
    return reader.read()
