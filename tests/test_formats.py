"""docs/reference/formats.md says what writers say of themselves, and what they say is true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.kept import Kept, table
from deburr.core.registry import _own, by_extension, stage_class
from deburr.core.stage import Writer
from deburr.pipeline import run
from deburr.testing import contract

DOCS = Path(__file__).parent.parent / "docs" / "reference" / "formats.md"


def kept() -> dict[str, Kept]:
    """What each format keeps, by its extensions."""
    writers = [stage_class(name) for name in _own() if name.startswith("writers.")]
    return {name: one for writer in writers if issubclass(writer, Writer) for name, one in writer.kept.items()}


def test_the_page_is_what_the_writers_say() -> None:
    between = DOCS.read_text(encoding="utf-8").split("<!-- kept: begin -->\n")[1].split("<!-- kept: end -->")[0]
    assert between == table(kept()), f"put this between the markers:\n{table(kept())}"


@pytest.mark.filterwarnings("ignore::deburr.core.errors.DeburrWarning")
@pytest.mark.parametrize("name", kept())
def test_what_is_said_of_a_cloud_from_elsewhere_is_true(name: str, tmp_path: Path) -> None:
    one = kept()[name]
    for extension in name.split(", "):
        path = str(tmp_path / f"out.{extension}")
        order = np.random.default_rng(1).permutation(60)
        cloud = replace(contract.surface(60).select(order), crs="EPSG:25832")
        writer = stage_class(str(by_extension("writers", path))).model_validate({"filename": path})
        assert isinstance(writer, Writer)
        written = writer.write(cloud)
        again = run([path]).cloud
        away = np.abs(again.xyz - cloud.xyz).max()
        assert (away == 0) == one.exact
        assert away <= 1e-6 or not one.order
        assert (again.crs is not None) == one.crs
        same = [name for name, column in cloud.dims.items() if name in again.dims and
                again.dims[name].tobytes() == column.tobytes()]  # fmt: skip
        assert (len(same) == len(cloud.dims)) == one.attributes
        # What is lost is told.
        said = " ".join(written.history[-1].warnings)
        assert one.crs or "coordinate system" in said
        assert one.attributes or "no place for" in said


#: Of each format that is read, the extension of a file.
_READ = ("las", "laz", "ply", "pcd", "e57", "csv", "txt", "xyz", "asc", "pts", "ptx")


def _stage(kind: str, path: Path) -> Any:
    return stage_class(str(by_extension(kind, path))).model_validate({"filename": str(path)})


@pytest.mark.parametrize("first", _READ)
def test_of_every_pair_what_the_target_cannot_hold_is_told(first: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    start = contract.surface(60)
    xyz = (start.xyz + np.array([500_000, 5_600_000, 100])).round(3)
    colours = {name: random.integers(0, 65536, 60).astype(np.uint16) for name in ("Red", "Green", "Blue")}
    more = {"Intensity": colours["Red"], "GpsTime": random.random(60), "Reflectance": random.random(60)}
    withheld = (np.arange(60) % 9 == 0).astype(np.uint8)
    dims = {**more, **colours, "Classification": np.full(60, 2, np.uint8), "Withheld": withheld}
    _stage("writers", tmp_path / f"in.{first}").write(PointCloud(xyz, dims, crs="EPSG:25832"))
    cloud = _stage("readers", tmp_path / f"in.{first}").read()
    moved = np.arange(60) % 2 == 0
    cloud = cloud.with_xyz(np.where(moved[:, None], cloud.xyz + 0.0123, cloud.xyz))
    for second in _READ:
        path = tmp_path / f"out.{second}"
        written = _stage("writers", path).write(cloud).history[-1]
        again = _stage("readers", path).read()
        said = " ".join(written.warnings)
        assert (again.xyz[~moved] == cloud.xyz[~moved]).all(), second
        assert np.abs(again.xyz - cloud.xyz).max() <= 0.5001e-3, second
        assert cloud.crs is None or again.crs == cloud.crs or "coordinate system" in said, second
        for name, column in cloud.dims.items():
            # Values that are no whole numbers of 16 bits are spread over these when E57 is read; the file has them.
            spread = second == "e57" and name == "Intensity" and column.dtype.kind == "f"
            assert name in said or spread or np.array_equal(again.dims[name], column), (second, name)
