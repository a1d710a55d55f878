"""The notebook of the documentation runs in a kernel of Jupyter, and its results show themselves."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import nbformat
import pytest
from doc_pages import DOCS
from nbclient import NotebookClient

NOTEBOOK = DOCS / "tutorials" / "python.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[Any]:
    """The cells of the notebook after they have run, each after the one before."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "no output belongs into git"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def out(cells: list[Any], source: str) -> dict[str, str]:
    """What the cell with ``source`` in it shows, by kind."""
    (cell,) = (one for one in cells if source in one.source)
    shown: dict[str, str] = {}
    for output in cell.outputs:
        shown |= {"text/plain": output.text} if output.output_type == "stream" else dict(output.get("data", {}))
    return shown


def test_denoise_cleans(cells: list[Any]) -> None:
    before, after = re.findall(r"([\d.]+) cm", out(cells, "clean = deburr.denoise(noisy)")["text/plain"])
    assert float(before) == pytest.approx(5.0, rel=0.05)
    assert float(after) < 0.5 * float(before)
    assert out(cells, "laspy.read")["text/plain"] == "(True, True)"


def test_a_plan_and_figures_are_shown(cells: list[Any]) -> None:
    assert "filters.outlier" in out(cells, "load([")["text/html"]
    assert "'noise'" in out(cells, "result.figures")["text/plain"]


def test_vegetation_keeps_its_noise(cells: list[Any]) -> None:
    text = out(cells, "np.nanmedian(uncertainty")["text/plain"]
    left = {name: float(value) for name, value in re.findall(r"(\w+) +([\d.]+) cm", text)}
    assert left["vegetation"] > 2 * max(left["ground"], left["building"])


def test_a_result_is_the_page(cells: list[Any]) -> None:
    assert out(cells, "result.xyz.shape")["text/plain"] == "(45235, 3)"
    (cell,) = (one for one in cells if one.source == "result")
    page = unescape(cell.outputs[0].data["text/html"])
    assert "<iframe" in page
    assert "house.laz" in page
    assert len(page) > 200_000, "the points"
