"""What a batch would do, without doing it: `pipeline batch --dry-run`."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.core.neighbors import threads
from deburr.pipeline import batch_plan, memory, store
from deburr.pipeline.batch_plan import Prepared, Request
from deburr.pipeline.passes import Passes

#: Points of the surface on which the speed of this machine is measured.
_TRIED = 40_000


def described(request: Request, prepared: Prepared) -> dict[str, Any]:
    """The plan as JSON values. Files that must be cut are taken to be even; the time is that of a trial here."""
    job = prepared.job
    tiles = batch_plan.tiles(job, prepared.outputs, request.tile)
    passes = Passes(job.filters)
    first = passes.survey() or passes.work()
    points = sum(tile.points for tile in tiles)
    seconds = _seconds_a_point(job.filters) * points / min(request.workers, threads())
    files = job.store.files
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
                "halo": max(
                    (batch_plan.halo(first, file.extent) for file in files if file.number in tile.core.files),
                    default=0.0,
                ),
            }
            for tile in tiles
        ],
        "workers": request.workers,
        "memory_gb_a_worker": round((memory.BASE + memory.PER_POINT * job.limit) / 1e9, 2),
        "scratch_gb": round(store.size(files, job.store.dims, job.store.chunk) / 1e9, 3),
        "estimated_seconds": round(seconds, 1),
        "failed": dict(prepared.failed),
        "warnings": list(prepared.warnings),
    }


def _seconds_a_point(filters: Any) -> float:
    """What the filters take on a small surface on this machine, with all its threads."""
    random = np.random.default_rng(0)
    plan = random.uniform(0, np.sqrt(_TRIED), (_TRIED, 2))
    cloud = PointCloud(np.column_stack((plan, random.normal(0, 0.1, _TRIED))))
    cloud = cloud.with_dims({"Classification": np.full(_TRIED, 2, np.uint8)})
    seconds = 1e-6
    for stage in filters:
        if (
            stage.needs <= cloud.dims.keys()
            and stage.looks_at is not None
            and stage.looks_at <= cloud.dims.keys() | {"Withheld"}
        ):
            began = time.perf_counter()
            stage.run(cloud)
            seconds += (time.perf_counter() - began) / _TRIED
    return seconds
