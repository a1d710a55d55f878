"""What a batch would do, without doing it: `pipeline batch --dry-run`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from deburr.batch import layout as batch_tiles
from deburr.batch.job import Job
from deburr.batch.layout import Tile
from deburr.batch.prepare import Prepared, Request
from deburr.batch.space import Footprint, everything
from deburr.batch.tasks import Clean
from deburr.core.cloud import PointCloud
from deburr.core.cut import Box
from deburr.core.neighbors import threads
from deburr.core.original import ORIGINAL
from deburr.core.stage import Filter
from deburr.core.waits import side_by_side
from deburr.scratch.input_file import FileRef
from deburr.tiles import memory
from deburr.tiles.surveys import Passes

#: Points of the surface on which the speed of this machine is measured.
_TRIED = 40_000


def described(request: Request, prepared: Prepared) -> dict[str, Any]:
    """The plan as JSON values. Files that must be cut are taken to be even; the time is that of a trial here."""
    job = prepared.job
    tiles = batch_tiles.tiles(job, prepared.outputs, request.tile)
    passes = Passes(job.filters)
    first = passes.survey() or passes.work()
    points = sum(tile.points for tile in tiles)
    files = job.store.files
    halos = [
        max((batch_tiles.halo(first, file.extent) for file in files if file.number in tile.core.files), default=0.0)
        for tile in tiles
    ]
    seconds = _seconds_a_point(job.filters, _spacing(files)) * points / min(request.workers, threads())
    return {
        "inputs": len([file for file in files if not file.context]),
        "context": len([file for file in files if file.context]),
        "points": points,
        "outputs": [output.id for output in prepared.outputs],
        "tiles": [
            {
                "id": tile.id,
                "points": tile.points,
                "box": [*tile.core.low.tolist(), *tile.core.high.tolist()],
                "halo": halo,
            }
            for tile, halo in zip(tiles, halos, strict=True)
        ],
        "workers": request.workers,
        "memory_gb_a_worker": round(memory.whole(job.limit, job.filters) / 1e9, 2),
        "scratch_gb": round(everything(job) / 1e9, 3),
        "fetched_gb": round(_fetched(job, tiles, halos) / 1e9, 6),
        "estimated_seconds": round(seconds, 1),
        "failed": dict(prepared.failed),
        "warnings": list(prepared.warnings),
    }


def _fetched(job: Job, tiles: Sequence[Tile], halos: Sequence[float]) -> int:
    """Bytes that are fetched of files on the web, by their heads and indices."""
    tasks = [
        Clean(id=tile.id, points=tile.points, core=tile.core, halo=halo, known=(), folder="", targets=None)
        for tile, halo in zip(tiles, halos, strict=True)
    ]
    needed = [(job.store.file(number), window) for number, window in Footprint(job, tasks).windows.items()]
    return sum(side_by_side(_cost, [one for one in needed if one[0].is_remote]))


def _cost(needed: tuple[FileRef, Box | None]) -> int:
    """Of a file on the web, or of a window of it, bytes."""
    file, window = needed
    if window is not None:
        return file.reader.cost(*window)
    return 0 if file.stamp is None else int(file.stamp[0] or 0)


def _spacing(files: Sequence[FileRef]) -> float:
    """How far points lie apart in the first file that tells, cloud units."""
    areas = (
        (np.prod((file.extent.high - file.extent.low)[:2]), file.extent.count) for file in files if file.extent.count
    )
    return next((float(np.sqrt(area / count)) for area, count in areas if area > 0), 1.0)


def _seconds_a_point(filters: Sequence[Filter], spacing: float) -> float:
    """What the filters take on a small surface with this ``spacing`` on this machine, with all its threads."""
    random = np.random.default_rng(0)
    plan = random.uniform(0, np.sqrt(_TRIED), (_TRIED, 2))
    surface = PointCloud(np.column_stack((plan, random.normal(0, 0.1, _TRIED))) * spacing)
    seconds = 1e-6
    for stage in filters:
        # Who puts back what was needs what was.
        if stage.looks_at is None or (stage.moves_afar and not stage.looks_around):
            continue
        names = (stage.looks_at | stage.needs) - {*ORIGINAL}
        cloud = surface.with_dims({name: np.zeros(_TRIED, np.uint8) for name in names})
        # What holds some points back saves no time, and here it would hold back all.
        choices: dict[str, Any] = {name: None for name in ("classes", "where") if name in type(stage).model_fields}
        began = time.perf_counter()
        stage.model_copy(update=choices).run(cloud)
        seconds += (time.perf_counter() - began) / _TRIED
    return seconds
