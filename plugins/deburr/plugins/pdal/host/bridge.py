"""Runs stages in PDAL on a cloud of deburr's: points, dimensions and CRS go over, and come back to the points they are
of. All that PDAL has no place for stays here and is joined again by a number that each point carries."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.cloud import PointCloud, Record
from deburr.core.errors import RunError, WriteError
from deburr.core.files import replacing
from deburr.core.host import FILES, HostError
from deburr.core.stage import Stage, Writer
from deburr.plugins.pdal.columns import flags_are_within, from_array, lost_flags, to_array, to_cloud
from deburr.plugins.pdal.host.forward import forwarded, written_by
from deburr.plugins.pdal.host.sent import NUMBER, Table, announced, numbers, sendable, views_of

#: Options that PDAL need not know: its tags may not be all that ours may, and there is one way through the pipeline.
_OURS = {"user_data", "tag"}
#: Filters that hang a mesh or a raster on the points, which does not outlive PDAL's pipeline.
_MORE_THAN_POINTS = frozenset(f"filters.{name}" for name in ("delaunay", "faceraster", "greedyprojection", "poisson"))
#: Metadata that repeat the CRS at length or name temporary files, and how long the rest may be to be reported.
_LEFT_OUT, _MOST_LETTERS = frozenset({"srs", "spatialreference", "comp_spatialreference", "filename"}), 20_000


def run(stages: Sequence[Stage], cloud: PointCloud | None, version: str) -> PointCloud:
    """See `deburr.core.host.Host.run`."""
    with _outputs(stages) as (specs, written):
        if cloud is None:
            tables, told, log = _executed(_told([_exact(spec) for spec in specs]), [], stages, version)
            infos = _each(told.get("filters.info"))
            found = _read(_joined(tables), infos, told)
        else:
            found, told, log = _passed(specs, stages, cloud, version)
    records = list(_records(stages, told, log, written, found))
    writer = _first_writer(specs)
    if writer < len(specs) and (lost := sorted(found.dims.keys() - sendable(found).keys())):
        sentence = (
            f"PDAL has no place for the dimensions {', '.join(lost)}, and its writers leave them out; rename them"
        )
        records[writer] = replace(records[writer], warnings=(*records[writer].warnings, sentence))
    return replace(found, history=(*(() if cloud is None else cloud.history), *records))


#: The views that left PDAL, its metadata by stage type, and its log.
_Ran = tuple[list[Table], dict[str, Any], str]


def _executed(chain: Sequence[Mapping[str, Any]], arrays: list[Table], stages: Sequence[Stage], version: str) -> _Ran:
    import pdal

    try:
        pipeline = pdal.Pipeline(json.dumps(chain), arrays=arrays, loglevel=logging.WARNING)
        pipeline.execute()
    except (RuntimeError, ValueError) as error:
        raise _explained(str(error), stages, version) from error
    metadata = pipeline.metadata
    told = (json.loads(metadata) if isinstance(metadata, str) else metadata)["metadata"]
    return pipeline.arrays, told, str(pipeline.log or "")


def _passed(
    specs: Sequence[dict[str, Any]], stages: Sequence[Stage], cloud: PointCloud, version: str
) -> tuple[PointCloud, dict[str, Any], str]:
    """``cloud`` behind the stages, PDAL's metadata and its log.

    Writers run in a pipeline of their own: they are not to see the number of each point, nor flags where their PDAL
    does not look for them.
    """
    tables: list[Table] | None = None
    told: dict[str, Any] = {}
    found, log = cloud, ""
    writer = _first_writer(specs)
    makers = (n for n, spec in enumerate(specs[:writer]) if spec["type"] in _MORE_THAN_POINTS)
    apart = next(makers, writer) if writer < len(specs) else writer
    if apart:
        sent = to_array(sendable(cloud) | numbers(cloud))
        names = sent.dtype.names or ()
        chain = [*announced(cloud), *(_exact(spec) for spec in specs[:apart]), {"type": "filters.info"}]
        tables, told, log = _executed(chain, [sent], stages[:apart], version)
        del sent
        found = _back(cloud, _joined(tables), names, _each(told.get("filters.info")))
    if apart < len(specs):
        rest = [forwarded(spec, cloud) if spec["type"] == "writers.las" else spec for spec in specs[apart:]]
        views = views_of(found, tables)
        shown = views if apart < writer else [written_by(view, rest, version) for view in views]
        chain = [*announced(found), *_told([_exact(spec) for spec in rest])]
        tables, more, noise = _executed(chain, [to_array(view) for view in shown], stages[apart:], version)
        if apart < writer:
            found = _back(found, _joined(tables), tuple(views[0]), _each(more.get("filters.info")))
        told, log = {**more, **told}, f"{log}\n{noise}"
    return found, told, log


def _joined(tables: list[Table]) -> Table | None:
    return np.concatenate(tables) if len(tables) > 1 else tables[0] if tables else None


def _told(specs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stages, and before the writers one that tells the CRS in the end."""
    first = _first_writer(specs)
    return [*specs[:first], {"type": "filters.info"}, *specs[first:]]


def _first_writer(specs: Sequence[Mapping[str, Any]]) -> int:
    return next((n for n, spec in enumerate(specs) if spec["type"].startswith("writers.")), len(specs))


def _exact(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The stage with its numbers as text: of a number in JSON, PDAL 2.2 keeps six digits."""
    return {name: repr(value) if isinstance(value, float) else value for name, value in spec.items()}


def _explained(message: str, stages: Sequence[Stage], version: str) -> HostError:
    """PDAL's message, of the stage that it names by its type."""
    text = " ".join(message.split()).rstrip(".")
    named = [stage for stage in stages if text.startswith(f"{stage.type_name}:")]
    first = named[0] if named else stages[0]
    text = text.removeprefix(f"{first.type_name}:").strip()
    of = ""
    if len(named) != 1 and len(stages) > 1:
        kinds = f"one of {len(named)} stages {first.type_name}" if named else ", ".join(s.type_name for s in stages)
        of = f" of {kinds}"
    return HostError(f"PDAL {version} says{of}: {text}; see https://pdal.io/stages/{first.type_name}.html", first)


@contextmanager
def _outputs(stages: Sequence[Stage]) -> Iterator[tuple[list[dict[str, Any]], dict[int, list[str]]]]:
    """The stages as PDAL is to run them, with their files in a folder of their own beside the outputs, and the files
    that each stage, by its number, has written in the end: they take their names when all is done."""
    specs = [
        {"type": s.type_name, **s.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=_OURS)}
        for s in stages
    ]
    written: dict[int, list[str]] = {}
    folders: dict[int, Path] = {}
    try:
        for number, stage in enumerate(stages):
            path = stage.path if isinstance(stage, Writer) else None
            if path is not None:
                beside = Path(path).parent
                folders[number] = Path(tempfile.mkdtemp(prefix=".deburr-", dir=beside))
                specs[number]["filename"] = str(folders[number] / Path(path).name)
        yield specs, written
        for number, folder in folders.items():
            written[number] = [_placed(file, folder.parent) for file in sorted(folder.iterdir())]
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"{error.filename}: cannot be written ({reason}); choose another output") from error
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)


def _placed(file: Path, folder: Path) -> str:
    target = folder / file.name
    with replacing(target) as temporary:
        os.replace(file, temporary)
    return str(target)


def _each(value: Any) -> list[dict[str, Any]]:
    """Metadata of one stage type: one object, or a list where it stands several times."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def _crs_of(info: Mapping[str, Any]) -> str | None:
    return info.get("srs", {}).get("compoundwkt") or None


def _read(table: Table | None, infos: list[dict[str, Any]], told: Mapping[str, Any]) -> PointCloud:
    """The cloud of what PDAL has read."""
    columns = from_array(table) if table is not None else {name: np.zeros(0) for name in "XYZ"}
    found = (one.get("dataformat_id") for one in _each(told.get("readers.las")))
    # Of several files PDAL keeps each value in an object of its own.
    values = (next(iter(value.values()), None) if isinstance(value, Mapping) else value for value in found)
    formats = frozenset(int(value) for value in values if value is not None)
    cloud = to_cloud(columns, _crs_of(infos[-1]) if infos else None, flags_within=flags_are_within(columns, formats))
    (record,) = cloud.history
    return replace(cloud, history=(replace(record, warnings=tuple(lost_flags(columns, formats))),))


def _back(cloud: PointCloud, table: Table | None, names: Sequence[str], infos: list[dict[str, Any]]) -> PointCloud:
    """``cloud`` with what PDAL has made of it: points selected, in PDAL's order; columns changed and added."""
    if table is None:
        return cloud.select(np.zeros(0, np.int64))
    xyz = np.stack([table[name] for name in "XYZ"], axis=1).astype(np.float64, copy=False)
    if NUMBER in (table.dtype.names or ()):
        rows = table[NUMBER].astype(np.int64) - 1
    else:
        rows = np.arange(len(xyz)) if _equal(xyz, cloud.xyz) else np.full(len(xyz), -1)
    if not np.isfinite(xyz.sum()) and (bad := int((~np.isfinite(xyz)).any(axis=1).sum())):
        raise RunError(
            f"PDAL has made a coordinate of {bad} of {len(xyz)} points NaN or infinite; remove them in front of that, "
            "for example by filters.range"
        )
    crs = [_crs_of(info) for info in infos]
    reprojected = bool(crs) and crs[-1] != (crs[0] if cloud.crs else None)
    if (rows < 0).any():
        # Points that PDAL has made: no record of the source is theirs.
        columns = {name: column for name, column in from_array(table).items() if name != NUMBER}
        return to_cloud(columns, crs[-1] if reprojected else cloud.crs)
    same = len(rows) == len(cloud) and bool((rows == np.arange(len(rows))).all())
    found = cloud if same else cloud.select(rows)
    found = _with_columns(found, table, names)
    if reprojected:
        return found.in_crs(crs[-1], xyz)
    return found if _equal(xyz, found.xyz) else found.with_xyz(xyz)


def _with_columns(cloud: PointCloud, table: Table, names: Sequence[str]) -> PointCloud:
    """``cloud`` with the columns of ``table`` that are new or hold other values, in its own types where they fit.

    ``names`` are those that were sent: the first columns of ``table`` are theirs, though PDAL calls some another way.
    """
    given = table.dtype.names or ()
    renamed = dict(zip(given, names, strict=False))
    missing = set(renamed.values()) - {name for name in names if name in given}
    if len(given) < len(names) or any(name in names and renamed[name] != name for name in renamed):
        raise RunError(f"PDAL takes some of the dimensions {', '.join(sorted(missing))} for one; rename one of them")
    changed: dict[str, Any] = {}
    for theirs in given:
        name = renamed.get(theirs, theirs)
        if name in ("X", "Y", "Z", NUMBER):
            continue
        before, column = cloud.dims.get(name), np.ascontiguousarray(table[theirs])
        if before is None:
            changed[name] = column
        elif not _equal(column, before):
            cast = column.astype(before.dtype)
            changed[name] = cast if _equal(cast, column) else column
    return cloud.with_dims(changed) if changed else cloud


def _equal(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f" and other.dtype.kind == "f"))


def _records(
    stages: Sequence[Stage], told: Mapping[str, Any], log: str, written: Mapping[int, list[str]], cloud: PointCloud
) -> Iterator[Record]:
    """What is to be told of each of the stages."""
    seen: dict[str, int] = {}
    for number, stage in enumerate(stages):
        kind = stage.type_name
        several, at = _each(told.get(kind)), seen.get(kind, 0)
        seen[kind] = at + 1
        # filters.info stands in the chain for our own sake.
        metadata = {} if kind == "filters.info" or at >= len(several) else several[at]
        metadata = {name: value for name, value in metadata.items() if name not in _LEFT_OUT}
        figures: dict[str, Any] = {}
        warnings = tuple(_warnings(log, kind)) if at == 0 else ()
        if number == 0 and kind.startswith("readers."):
            figures |= cloud.history[0].figures
            warnings += cloud.history[0].warnings
        if number in written:
            figures[FILES] = written[number]
        if metadata and len(json.dumps(metadata)) <= _MOST_LETTERS:
            figures["metadata"] = metadata
        yield Record(kind, figures, warnings)


def _warnings(log: str, kind: str) -> Iterator[str]:
    """The lines of PDAL's log that are of a stage type."""
    for line in log.splitlines():
        found = re.match(r"\((?:\S+ )?(\S+) (?:[Ww]arning|[Ee]rror)\) *(.*)", line)
        if found and found[1] == kind and found[2]:
            yield found[2]
