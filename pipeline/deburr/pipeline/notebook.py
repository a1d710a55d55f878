"""What a notebook shows of a result, of a cloud and of a plan, and a bar while work is done in one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deburr.core.cloud import PointCloud
from deburr.core.progress import listening

if TYPE_CHECKING:
    from deburr.pipeline.execute import Result
    from deburr.pipeline.plan import Plan

#: Points that are shown in a notebook, which holds all that it shows; and how high, in pixels.
_POINTS, _HIGH = 100_000, 620
#: Seconds between two looks of a bar, and before there is one.
_OFTEN, _SOON = 0.2, 1.0


def of_result(result: Result) -> str:
    """The page of a run in a frame; of one in tiles, whose points were never in memory, its figures."""
    from deburr.show.page import facts, page
    from deburr.show.page.scene import of_run

    if result.points is None:
        return _table([(name, str(told)) for name, told in result.figures.items()])
    title = Path(str((result.report["input"] or {}).get("path", "points"))).name
    return _frame(page.html(title, of_run(result.points, most=_POINTS), facts.of_run(result.report, result.points)))


def of_cloud(cloud: PointCloud) -> str:
    """The page of a cloud in a frame: as it was read and as it is."""
    from deburr.show.page import facts, page
    from deburr.show.page.scene import of_run

    return _frame(page.html(f"{len(cloud):,} points", of_run(cloud, most=_POINTS), facts.of_cloud(cloud)))


def _frame(text: str) -> str:
    return f'<iframe srcdoc="{escape(text)}" style="width:100%;height:{_HIGH}px;border:1px solid #ccc"></iframe>'


def of_plan(plan: Plan) -> str:
    """The stages in their order: what each is given, and what it does."""
    from deburr.pipeline.describe import stage

    rows = []
    for told, step in zip(plan.as_json(), plan.steps, strict=True):
        options = ", ".join(f"{name}: {value!r}" for name, value in told.items() if name != "type")
        rows.append((told["type"], options, stage(step.stage.type_name).summary))
    return _table(rows)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook, where a bar can be shown."""
    shell = sys.modules.get("IPython")
    found: Any = None if shell is None else shell.get_ipython()
    return found is not None and hasattr(found, "kernel")


def show_clouds() -> None:
    """Have a notebook show clouds as their page: they are of a room that knows none, and cannot say so themselves."""
    if in_notebook():
        sys.modules["IPython"].get_ipython().display_formatter.formatters["text/html"].for_type(PointCloud, of_cloud)


@contextmanager
def bar() -> Iterator[None]:
    """In a notebook, show how far the work inside the block is, once it takes longer than a second."""
    if not in_notebook():
        yield
        return
    tools: Any = import_module("IPython.display")
    shown: list[Any] = []

    def show(text: str) -> None:
        if shown:
            shown[0].update(tools.HTML(text))
        else:
            shown.append(tools.display(tools.HTML(text), display_id=True))

    try:
        with listening(_teller(show)):
            yield
    finally:
        if shown:
            shown[0].update(tools.HTML(""))


def _teller(show: Callable[[str], None]) -> Callable[[str, int, int], None]:
    """A listener that hands on a bar in HTML now and then."""
    began = last = time.monotonic()

    def told(label: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - began < _SOON or now - last < _OFTEN or not total:
            return
        last = now
        share = min(done / total, 1.0)
        show(f"<progress value='{share:.3f}' style='width:16em'></progress> {escape(label)} {100 * share:.0f} %")

    return told
