"""How a training run went: losses and validation by step, as a table and a picture beside the weights."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from deburr.core.errors import ReadError
from deburr.core.files import replacing

#: Columns that every row has; losses and validation figures follow.
FIXED = ("step", "seconds", "points")
#: What a validation figure's column starts with.
VALIDATION = "validation "


class Curves:
    """Rows of figures by step, kept in ``path`` (CSV) and drawn beside it (PNG)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def resume(self, step: int) -> None:
        """Go on from the rows in the file up to ``step``: what came after is done again. Raises `ReadError`."""
        if not self.path.is_file():
            return
        try:
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
            self.rows = [row for row in rows if row["step"] <= step]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReadError(f"{self.path}: no table of a training run; move it away") from error

    def add(self, step: int, seconds: float, points: int, losses: dict[str, float]) -> None:
        """A row of running means; one that the last row has already is left out."""
        if not self.rows or self.rows[-1]["step"] < step:
            self.rows.append({"step": step, "seconds": round(seconds, 1), "points": points, **losses})

    def validated(self, table: list[dict[str, Any]]) -> None:
        """Add the table of `deburr.train.validate` to the last row."""
        for line in table:
            for figure in ("to_surface", "to_own_place"):
                if figure in line:
                    self.rows[-1][f"{VALIDATION}{line['scene']} {line['noise']} {figure}"] = line[figure]

    def write(self) -> None:
        """Raises `WriteError`."""
        names = list(dict.fromkeys([*FIXED, *(name for row in self.rows for name in row)]))
        with replacing(self.path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            for row in self.rows:
                figures = {name: f"{value:.5g}" for name, value in row.items() if name not in FIXED}
                writer.writerow({name: f"{row[name]:.12g}" for name in FIXED} | figures)

    def draw(self) -> None:
        """Losses above, validation below, both on logarithmic scales. Raises `WriteError`."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 8), layout="constrained")
        losses, shares = figure.subplots(2, 1, sharex=True)
        for name in dict.fromkeys(name for row in self.rows for name in row if name not in FIXED):
            some = [row for row in self.rows if name in row]
            axes = shares if name.startswith(VALIDATION) else losses
            marker = "." if axes is shares else ""
            axes.plot(
                [row["step"] for row in some],
                [row[name] for row in some],
                marker=marker,
                label=name.removeprefix(VALIDATION),
            )
        losses.set_ylabel("losses, running means")
        shares.set_ylabel("share of the input's RMS distance")
        shares.set_xlabel("step")
        for axes in (losses, shares):
            axes.set_yscale("log")
            axes.grid(True, which="both", linewidth=0.3)
            if axes.lines:
                axes.legend(fontsize="small", ncols=2)
        with replacing(self.path.with_suffix(".png")) as temporary:
            figure.savefig(temporary, dpi=110)
