"""What a notebook shows: results, plans, and how far the work is."""

from __future__ import annotations

import html
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError
from deburr.core.progress import advance
from deburr.pipeline import load, notebook, run
from deburr.pipeline.execute import Result


def test_a_result_is_the_page_in_a_frame(hill: Floats) -> None:
    shown = run([{"type": "filters.noise", "sigma": 0.1, "seed": 1}], points=hill)._repr_html_()
    found = re.fullmatch(r'<iframe srcdoc="([^"]*)" style="[^"]*"></iframe>', shown)
    assert found is not None
    page = html.unescape(found[1])
    assert page.startswith("<!doctype html>")
    assert "600 of 600 points moved" in page


def test_a_cloud_is_the_page_too(hill: Floats, kernel: list[str]) -> None:
    """By IPython's own formatter, which is told of clouds where it is there."""
    formatters: dict[type, Any] = {}
    shell: Any = sys.modules["IPython"].get_ipython()
    shell.display_formatter = types.SimpleNamespace(
        formatters={"text/html": types.SimpleNamespace(for_type=formatters.__setitem__)}
    )
    notebook.show_clouds()
    found = re.fullmatch(r'<iframe srcdoc="([^"]*)" style="[^"]*"></iframe>', formatters[PointCloud](PointCloud(hill)))
    assert found is not None
    assert "600 points" in html.unescape(found[1])


def test_a_result_of_tiles_is_its_figures() -> None:
    stages = [
        {"type": "filters.spd", "tag": None, "figures": {"noise": 0.5}},
        {"type": "a", "tag": "<b>", "figures": {}},
    ]
    shown = Result(None, {"stages": stages})._repr_html_()
    assert "0.5" in shown
    assert "<b>" not in shown


def test_a_plan_says_what_each_stage_will_do() -> None:
    plan = load(["in.las", {"type": "filters.outlier", "method": "radius", "tag": "<script>"}, "filters.spd", "o.las"])
    shown = plan._repr_html_()
    assert shown.count("<tr>") == 4
    assert "Flag outliers" in shown
    assert "method: &#x27;radius&#x27;" in shown
    assert "<script>" not in shown


def test_figures_of_stages_by_their_names(hill: Floats) -> None:
    noise = {"type": "filters.noise", "sigma": 0.1}
    done = run([{**noise, "seed": 1}, {**noise, "seed": 2}, {**noise, "seed": 3, "tag": "last"}], points=hill)
    assert list(done.figures) == ["filters.noise", "filters.noise 2", "last"]
    assert all(told["sigma"] == 0.1 for told in done.figures.values())


def test_a_data_frame_of_the_points(hill: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(["filters.merge"], points=hill, dims={"Classification": np.full(600, 2, np.uint8)})
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RunError, match="pip install pandas"):
        done.to_dataframe()
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=dict))
    frame = done.to_dataframe()
    assert list(frame) == ["X", "Y", "Z", "Classification"]
    assert np.array_equal(np.column_stack([frame[axis] for axis in "XYZ"]), hill)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """As if this were a notebook's kernel: what it shows, one after the other."""
    seen: list[str] = []

    class Handle:
        def update(self, shown: Any) -> None:
            seen.append(shown)

    def display(shown: Any, display_id: bool) -> Handle:
        seen.append(shown)
        return Handle()

    shell = types.SimpleNamespace(kernel=object())
    modules = {
        "IPython": types.SimpleNamespace(get_ipython=lambda: shell),
        "IPython.display": types.SimpleNamespace(HTML=str, display=display),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return seen


def test_long_work_shows_a_bar_that_goes_away(kernel: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.5, 1.5, 1.6, 2.0])
    monkeypatch.setattr("deburr.pipeline.notebook.time.monotonic", lambda: next(clock))
    with notebook.bar():
        for done in (1, 2, 3, 4):
            advance("1/1 <b>", done, 4)
    assert [re.sub("<progress[^>]*></progress>", "bar", text) for text in kernel] == [
        "bar 1/1 &lt;b&gt; 50 %", "bar 1/1 &lt;b&gt; 100 %", "",
    ]  # fmt: skip


def test_elsewhere_there_is_none(tmp_path: Path) -> None:
    assert not notebook.in_notebook()
    with notebook.bar():
        advance("a", 1, 2)
