"""docs/reference/formats.md says what writers say of themselves, and what they say is true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

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
