"""What a batch did, in figures: a table with a row for each tile, and the totals of all."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deburr.core.files import replacing
from deburr.core.sums import Histogram, from_json, merge
from deburr.core.text import cell, printable
from deburr.show.words import change, length, moved_words

NAME = "tiles.csv"

#: What a tile's task returns: JSON values, lengths in cloud units. A failed one may lack all but ``id`` and ``error``.
TileRecord = Mapping[str, Any]
#: What became of a file: ``path``, ``error`` (None if it was written), and whatever else there is to say.
FileRecord = Mapping[str, Any]


def removed(record: TileRecord) -> float | None:
    """The noise that a tile lost, cloud units: what added in squares to what is left gives what was there.

    Negative where there is more than before; None where it was not measured.
    """
    before, after = record.get("noise_before"), record.get("noise_after")
    if record.get("error") or before is None or after is None:
        return None
    return difference(before, after)


def difference(before: float, after: float) -> float:
    """The root of ``before`` squared less ``after`` squared; negative if ``after`` is the greater."""
    # As a product of roots: squares of very small lengths would vanish.
    return math.copysign(math.sqrt(abs(before - after)) * math.sqrt(before + after), before - after)


def write(folder: Path, tiles: Sequence[TileRecord], files: Sequence[FileRecord], unit: str) -> dict[str, Any]:
    """Write ``tiles.csv`` into ``folder`` and return the totals for the report.

    ``unit``: of lengths, as of `deburr.core.crs.words.unit`. Raises `WriteError`.
    """
    table = _columns(re.sub(r"\W+", "_", unit))
    with replacing(folder / NAME) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows([value(tile) for value in table.values()] for tile in tiles)
    return totals(tiles, files)


def totals(tiles: Sequence[TileRecord], files: Sequence[FileRecord] = ()) -> dict[str, Any]:
    """JSON values. Means over tiles are weighted with their points; seconds are those of all workers together."""
    done = [tile for tile in tiles if not tile.get("error")]
    measured = [tile for tile in done if removed(tile) is not None]
    before, after = (_rms(measured, name) for name in ("noise_before", "noise_after"))
    points, seconds = _sum(done, "points"), _sum(done, "seconds")
    return {
        "tiles": len(tiles),
        "tiles_failed": len(tiles) - len(done),
        "files": len(files),
        "files_failed": sum(1 for file in files if file.get("error")),
        "points": points,
        "points_failed": _sum(tiles, "points") - points,
        "points_moved": _sum(done, "moved"),
        "points_unproved": _sum(done, "unproved"),
        "points_read": _sum(done, "read"),
        "noise_before": before,
        "noise_after": after,
        "noise_removed": None if before is None or after is None else difference(before, after),
        "displacement_rms": _rms(done, "displacement_rms"),
        "displacement_median": _quantile(done, 0.5),
        "displacement_p95": _quantile(done, 0.95),
        "displacement_max": _max(done, "displacement_max"),
        "tile_seconds": round(seconds, 3),
        "peak_memory_mb": _max(tiles, "peak_memory_mb"),
        "widest_halo": _max(done, "halo"),
        "attempts": _sum(done, "attempts"),
    }


def headline(total: Mapping[str, Any], unit: str) -> str:
    """What was achieved, in one line: ``848,942 points in 12 tiles: noise 2.31 cm -> 0.84 cm (-64 %)``."""
    count = f"{_many(total['points'], 'point')} in {_many(total['tiles'] - total['tiles_failed'], 'tile')}"
    failed = f"; {_many(total['tiles_failed'], 'tile')} failed" if total["tiles_failed"] else ""
    median, p95, longest = (total.get(f"displacement_{name}") for name in ("median", "p95", "max"))
    moved = moved_words(median, p95, longest, unit) if median and p95 and longest else ""
    if total["noise_before"] is not None:
        noise = f"{count}: noise {change(total['noise_before'], total['noise_after'], unit)}"
        return f"{noise}{f'; moved: {moved}' if moved else ''}{failed}"
    if total["displacement_max"]:
        return (
            f"{count}: moved by {length(total['displacement_rms'], unit)} RMS{f' ({moved})' if moved else ''}{failed}"
        )
    return count + failed


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _columns(unit: str) -> dict[str, Callable[[TileRecord], str]]:
    """The table's heads, with units, and what stands below them."""
    corners = ("min_x", "min_y", "max_x", "max_y")
    boxes = {f"{name}_{unit}": _corner(place) for place, name in enumerate(corners)}
    lengths: dict[str, str | Callable[[TileRecord], float | None]] = {
        "noise_before": "noise_before",
        "noise_after": "noise_after",
        "noise_removed": removed,
        "displacement_rms": "displacement_rms",
        "displacement_max": "displacement_max",
        "halo": "halo",
    }
    return {
        "tile": lambda tile: cell(tile["id"]),
        "files": lambda tile: cell("; ".join(map(printable, tile.get("files") or ()))),
        "status": lambda tile: "failed" if tile.get("error") else "done",
        "points": _whole("points"),
        "points_read": _whole("read"),
        "points_moved": _whole("moved"),
        "points_unproved": _whole("unproved"),
        **{f"{name}_{unit}": _number(key) for name, key in lengths.items()},
        "seconds": _number("seconds"),
        "points_per_second": _number(_speed),
        "peak_memory_mb": _number("peak_memory_mb"),
        "attempts": _whole("attempts"),
        **boxes,
        # One row, one line: whoever greps for a tile finds its cause.
        "error": lambda tile: cell(" ".join(str(tile.get("error") or "").split())),
    }


def _whole(key: str) -> Callable[[TileRecord], str]:
    return lambda tile: "" if tile.get(key) is None else str(int(tile[key]))


def _number(what: str | Callable[[TileRecord], float | None]) -> Callable[[TileRecord], str]:
    def text(tile: TileRecord) -> str:
        value = tile.get(what) if isinstance(what, str) else what(tile)
        return "" if value is None or not math.isfinite(value) else f"{value:.6g}"

    return text


def _corner(place: int) -> Callable[[TileRecord], str]:
    return lambda tile: repr(float(tile["box"][place])) if tile.get("box") else ""


def _speed(tile: TileRecord) -> float | None:
    points, seconds = tile.get("points"), tile.get("seconds")
    return points / seconds if points is not None and seconds else None


def _sum(tiles: Iterable[TileRecord], key: str) -> Any:
    return sum(tile.get(key) or 0 for tile in tiles)


def _max(tiles: Iterable[TileRecord], key: str) -> float | None:
    return max((tile[key] for tile in tiles if tile.get(key) is not None), default=None)


def _quantile(tiles: Iterable[TileRecord], share: float) -> float | None:
    """Of the lengths by which points moved, in all tiles; None where none did, or where it was not noted."""
    noted = [from_json({"moved": tile["displacements"]}) for tile in tiles if tile.get("displacements")]
    found = merge(noted).get("moved")
    return found.quantile(share) if isinstance(found, Histogram) else None


def _rms(tiles: Sequence[TileRecord], key: str) -> float | None:
    """Over all points of the tiles that have the figure; None if there are none."""
    told = [(tile.get("points") or 0, tile[key]) for tile in tiles if tile.get(key) is not None]
    points = sum(count for count, _ in told)
    return math.sqrt(sum(count * value**2 for count, value in told) / points) if points else None
