"""What a denoiser is worth on clouds of which the truth is known: distances before and after, file by file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deburr.core.errors import ReadError, RunError, SpecError
from deburr.core.progress import advance
from deburr.core.registry import by_extension, stage_class
from deburr.core.stage import Filter, Reader
from deburr.filters.metrics import Metrics

#: What is told of each cloud, before and after: the name of the column, and of the figure of filters.metrics.
DISTANCES = {
    "to_truth": "to_reference_rms", "chamfer": "chamfer", "chamfer_squared": "chamfer_squared",
    "hausdorff": "hausdorff",
}  # fmt: skip
#: What a mesh is called by.
_MESHES = (".obj", ".stl", ".ply")


@dataclass(frozen=True)
class Row:
    """One cloud: its ``points``, and the `DISTANCES` ``before`` and ``after``, cloud units."""

    name: str
    points: int
    before: Mapping[str, float]
    after: Mapping[str, float]

    def cells(self) -> dict[str, Any]:
        """By the names of the columns."""
        sides = (("before", self.before), ("after", self.after))
        told = {f"{name}_{side}": values[name] for name in DISTANCES for side, values in sides}
        return {"file": self.name, "points": self.points, **told}


def pairs(clean: Path, noisy: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Each of the files ``noisy`` with its truth: the file ``clean``, or the one in that folder that has its name up
    to the extension, or that up to the last ``_`` or ``-``, ``.`` (``cube_0.01.xyz``: ``cube.obj``).

    Raises `SpecError` for files that have none.
    """
    if not clean.is_dir():
        if not clean.exists():
            raise SpecError(f"{clean}: does not exist; give the true cloud or mesh, or the folder of them")
        return [(path, clean) for path in noisy]
    there = {path.stem: path for path in sorted(clean.iterdir()) if _is_truth(path)}
    found, missing = [], []
    for path in noisy:
        truth = next((there[name] for name in _names(path.stem) if name in there), None)
        if truth is None:
            missing.append(f"{path}: has no truth in {clean}; name that as the cloud, with any extension")
        else:
            found.append((path, truth))
    if missing:
        raise SpecError(missing[:5])
    return found


def _names(stem: str) -> Iterator[str]:
    """The name, and what is left of it when parts are taken from its end."""
    yield stem
    for at in range(len(stem) - 1, 0, -1):
        if stem[at] in "_-.":
            yield stem[:at]


def _is_truth(path: Path) -> bool:
    return path.is_file() and (path.suffix.lower() in _MESHES or by_extension("readers", path) is not None)


def evaluate(clean: Path, noisy: Sequence[Path], denoiser: Filter) -> list[Row]:
    """Let ``denoiser`` clean each of ``noisy``, and measure it before and after against its truth.

    Raises `SpecError` for names that are wrong, `ReadError` and `RunError` as the stages do.
    """
    rows = []
    todo = pairs(clean, noisy)
    for number, (path, truth) in enumerate(todo):
        advance("evaluating", number, len(todo))
        rows.append(_row(path, truth, denoiser))
    advance("evaluating", len(todo), len(todo))
    return rows


def _row(path: Path, truth: Path, denoiser: Filter) -> Row:
    kind = by_extension("readers", path)
    if kind is None:
        raise ReadError(f"{path}: is no point cloud that is known; give files of another format")
    reader = stage_class(kind).model_validate({"filename": str(path)})
    assert isinstance(reader, Reader)
    cloud = Metrics(reference=str(truth)).run(denoiser.run(reader.read()))
    figures = cloud.history[-1].figures
    if not {"as_read", "now"} <= figures.keys() or "chamfer" not in figures["now"]:
        raise RunError(f"{path}: has no points that could be measured; leave it out")
    before, after = (
        {name: float(figures[side][figure]) for name, figure in DISTANCES.items()} for side in ("as_read", "now")
    )
    return Row(path.name, int(figures["points"]), before, after)


def mean(rows: Sequence[Row]) -> Row:
    """The mean of all rows, cloud by cloud."""

    def of(side: str) -> dict[str, float]:
        return {name: sum(getattr(row, side)[name] for row in rows) / len(rows) for name in DISTANCES}

    return Row("mean", sum(row.points for row in rows), of("before"), of("after"))


def as_csv(rows: Sequence[Row]) -> str:
    """A table with a head, for programs."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0].cells()), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.cells() for row in rows)
    return text.getvalue()


def as_text(rows: Sequence[Row]) -> str:
    """A table for people: before and after of each distance, and what is left in percent."""
    head = ["file", "points", *(f"{name.replace('_', ' ')}" for name in DISTANCES)]
    lines = [head]
    for row in [*rows, *([mean(rows)] if len(rows) > 1 else [])]:
        lines.append([row.name, f"{row.points:,}", *(_change(row.before[name], row.after[name]) for name in DISTANCES)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _change(before: float, after: float) -> str:
    left = f" ({100 * after / before:.0f} %)" if before > 0 else ""
    return f"{before:.4g} -> {after:.4g}{left}"
