"""What a batch leaves beside its outputs: report, table, map, virtual point cloud."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from deburr.batch import figures, vpc
from deburr.batch import map as batch_map
from deburr.batch import page as batch_page
from deburr.batch import report as batch_report
from deburr.batch.prepare import Prepared
from deburr.batch.run import Account, outputs_of
from deburr.core.crs import words as crs
from deburr.core.files import remove_left, replacing
from deburr.pipeline import report, report_schema
from deburr.pipeline.plan import load
from deburr.show import noise_map
from deburr.show.page import page


def unit_of(prepared: Prepared) -> str:
    """The unit of lengths in words."""
    job = prepared.job
    if job.units:
        return crs.short(job.units)
    return crs.unit(next((file.crs for file in job.store.files if file.crs), None))


def stages_of(prepared: Prepared, account: Account) -> list[dict[str, Any]]:
    """What each filter did, over all tiles."""
    done = _done(account)
    found = []
    for number, stage in enumerate(prepared.job.filters):
        made, warnings = figures.merged(stage, [stages[number] for stages in done])
        options = stage.model_dump(mode="json", by_alias=True, exclude={"tag", "user_data"})
        one = {"type": stage.type_name, "tag": stage.tag, "options": options}
        found.append({**one, "figures": made, "warnings": warnings})
    return found


def warnings_of(prepared: Prepared, account: Account) -> list[str]:
    """What readers and writers had to say while outputs were written, each sentence once, and none that was said of
    the files' heads beforehand."""
    told = dict.fromkeys(warning for one in outputs_of(account) for warning in one["warnings"])
    return [warning for warning in told if warning not in prepared.warnings]


def _done(account: Account) -> list[Any]:
    """What the stages noted in each tile that was done."""
    return [tile["stages"] for tile in account.tiles.values() if tile.get("stages")]


def leave(prepared: Prepared, account: Account, folder: Path, began: datetime, seconds: float) -> dict[str, Any]:
    """Write report.json, report.html, tiles.csv, tiles.png and, as `noise_map.leave`, noise.png into ``folder``.

    Returns the report. Of independent files, which lie nowhere beside each other, there are no maps. Raises
    `WriteError`.
    """
    unit = unit_of(prepared)
    tiles = list(account.tiles.values())
    totals = batch_report.write(folder, tiles, _files(prepared, account), unit)
    tiles = [_plain(tile) for tile in tiles]
    found = {
        "kind": "batch",
        "version": report_schema.VERSION,
        "spec_file": prepared.plan.origin or None,
        "spec": prepared.plan.as_json(),
        "inputs": [file.path for file in prepared.job.store.files if not file.context],
        "context": [file.path for file in prepared.job.store.files if file.context],
        "outputs": [{k: v for k, v in one.items() if k not in ("mtime_ns", "ctime_ns")} for one in outputs_of(account)],
        "began": began.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "units": unit,
        "totals": totals,
        "stages": stages_of(prepared, account),
        "failed": [{"id": id_, "error": error} for id_, error in account.errors.items()],
        "tasks_done": account.tasks,
        "tasks_resumed": account.skipped,
        "warnings": [*prepared.warnings, *warnings_of(prepared, account)],
        "versions": report.versions(),
    }
    if prepared.job.independent:
        for name in (batch_map.NAME, noise_map.NAME):
            remove_left(folder / name)
    else:
        with replacing(folder / batch_map.NAME) as temporary:
            batch_map.draw(tiles, temporary, unit)
        done = _done(account)
        noted = [figures.noted([stages[number] for stages in done]) for number in range(len(prepared.job.filters))]
        noise_map.leave(folder, noted, unit)
    page.write(folder / page.NAME, folder.resolve().name, None, batch_page.facts(prepared, found, tiles, unit))
    with replacing(folder / report.NAME) as temporary:
        temporary.write_text(json.dumps(report.plain(found), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return found


def _files(prepared: Prepared, account: Account) -> list[dict[str, Any]]:
    """Inputs that cannot be read, and outputs: those written, and those that are not for what went wrong."""
    files: list[dict[str, Any]] = [{"path": path, "error": error} for path, error in prepared.failed.items()]
    files += [{"path": one["path"], "error": None} for one in outputs_of(account)]
    for output in prepared.outputs:
        error = account.errors.get(f"write-{output.id}") or account.errors.get(output.id)
        if error is not None and output.id not in account.outputs:
            files += [{"path": one.path, "error": error} for one in output.targets]
    return files


def _plain(tile: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tile.items() if name not in ("stages", "pieces", "written", "displacements")}


def virtual(account: Account, path: Path) -> Sequence[str]:
    """Write a virtual point cloud of all outputs that there are; returns warnings. Raises `WriteError`."""
    entries = []
    for one in outputs_of(account):
        reader = load([one["path"]]).reader
        assert reader is not None
        told = reader.outline()
        low, high = told.extent.low, told.extent.high
        dims = {name: str(kind) for name, kind in (told.kinds or {}).items()}
        entries.append(vpc.VpcEntry(Path(one["path"]), told.extent.count, low.tolist(), high.tolist(), told.crs, dims))
    return vpc.write(path, entries)
