"""deburr's filters as functions of PDAL's columns, called by the script that filters.python runs.

PDAL's rules, for whoever changes this: outputs are contiguous, native-endian and of their dimension's exact type; a
``Mask`` comes alone; the answer is True and nothing else; no input array may be kept. Neither laspy nor pyproj may be
imported: with them PDAL crashes as it ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TypeVar

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.core.crs import words as crs
from deburr.core.errors import SpecError
from deburr.core.interrupts import whole_import
from deburr.core.original import ORIGINAL
from deburr.core.stage import Filter
from deburr.filters.outlier import Outlier
from deburr.filters.spd import Spd
from deburr.pipeline.blame import blamed
from deburr.pipeline.options import build
from deburr.plugins.pdal.columns import Column, Columns, back, flags_are_within, lost_flags, to_cloud
from deburr.plugins.pdal.inside.told import metadata, progress, tell
from deburr.plugins.pdal.inside.views import MOST_TOLD, Views
from deburr.show.words import length

__all__ = ["Views", "denoise", "outlier", "outlier_mask"]

#: The script's module: what it holds while PDAL calls it (``pdalargs``, ``metadata``, ``spatialreference``, ...), and
#: where PDAL looks for metadata that the script gives (``out_metadata``).
Given = MutableMapping[str, Any]
F = TypeVar("F", bound=Filter)


def denoise(ins: Columns, outs: dict[str, Column], given: Given, views: Views) -> bool:
    """Run filters.spd: X, Y, Z and the dimensions that were asked for go to ``outs``."""
    stage = chosen(Spd, given)
    if stage.outliers == "remove":
        raise SpecError(
            f"{_where(Spd)}: function 'denoise' cannot remove points ('outliers' is 'remove'); use 'classify', and "
            "filters.range behind it"
        )
    if stage.outliers == "classify":
        check_room({"Classification": "uint8"}, ins)
    wanted = {name: "float" for name in stage.dimensions or ()} | dict.fromkeys(
        ORIGINAL * stage.keep_original, "double"
    )
    check_room(wanted, ins)
    load_networks()
    outs.update(_filtered(stage, ins, given, views, frozenset(wanted))[0])
    return True


def outlier(ins: Columns, outs: dict[str, Column], given: Given, views: Views) -> bool:
    """Run filters.outlier: Classification, or the flag Withheld, goes to ``outs``."""
    stage = chosen(Outlier, given)
    if stage.action == "remove":
        raise SpecError(
            f"{_where(Outlier)}: function 'outlier' cannot remove points ('action' is 'remove'); use function "
            "'outlier_mask'"
        )
    if stage.action == "classify":
        check_room({"Classification": "uint8"}, ins)
    columns = _filtered(stage, ins, given, views)[0]
    if missing := sorted(columns.keys() - ins.keys()):
        check_room(dict.fromkeys(missing, "uint8"), ins)
    outs.update(columns)
    return True


def outlier_mask(ins: Columns, outs: dict[str, Column], given: Given, views: Views) -> bool:
    """Run filters.outlier: ``outs`` gets ``Mask`` (N,) bool, the points that stay."""
    stage = chosen(Outlier, given, {"action": "remove"})
    if stage.action != "remove":
        raise SpecError(
            f"{_where(Outlier)}: function 'outlier_mask' removes points and cannot do '{stage.action}'; remove the "
            "option 'action', or use function 'outlier'"
        )
    after = _filtered(stage, ins, given, views)[1]
    outs["Mask"] = np.zeros(after.extent.count, np.bool_)
    outs["Mask"][after.rows] = True
    return True


def chosen(cls: type[F], given: Given, defaults: Mapping[str, Any] | None = None) -> F:
    """The stage that ``pdalargs`` describe. Raises `SpecError` with all that is wrong with them, in one line."""
    options = given.get("pdalargs")
    if isinstance(options, str):
        try:
            options = json.loads(options or "{}")
        except ValueError as error:
            raise SpecError(f"{_where(cls)}: 'pdalargs' is no JSON ({error}); write an object of options") from None
    if not isinstance(options or {}, dict):
        raise SpecError(f"{_where(cls)}: 'pdalargs' is a {type(options).__name__}; write an object of options")
    stage, problems = build(cls, {**(defaults or {}), **(options or {})})
    if stage is not None:
        problems = stage.check(())
    if problems:
        # PDAL prints what it is told as one line.
        several = "; ".join(f"({number}) {problem}" for number, problem in enumerate(problems, 1))
        raise SpecError(f"{_where(cls)}: {problems[0] if len(problems) == 1 else several}")
    assert isinstance(stage, cls)
    return stage


def load_networks() -> None:
    """Import torch so that it uses the libraries it brings.

    The program `pdal` has linked a BLAS, as a rule, and the loader would give torch that one's functions in place of
    its own of the same name. Debian's are twenty times slower, and round otherwise.
    """
    # Where memory is allocated by another's functions, on purpose, torch must use them as well.
    if "torch" in sys.modules or not hasattr(os, "RTLD_DEEPBIND") or os.environ.get("LD_PRELOAD"):
        return
    before = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
    try:
        whole_import("deburr.nn.deburr.default")
    finally:
        sys.setdlopenflags(before)


def check_room(wanted: Mapping[str, str], ins: Columns) -> None:
    """Raise `SpecError` for dimensions, names and PDAL's types, that PDAL's table has no column for."""
    missing = [name for name in wanted if name not in ins]
    if missing:
        lines = json.dumps([f"{name}={wanted[name]}" for name in missing])
        raise SpecError(
            f'filters.python: PDAL has no dimension {" and no ".join(missing)} to fill; add "add_dimension": {lines} '
            "to this stage"
        )


def formats(tree: Any) -> frozenset[int]:
    """The point formats of the LAS files that PDAL's metadata, a ``tree``, tell of."""
    if not isinstance(tree, dict):
        return frozenset()
    found: set[int] = set()
    for child in tree.get("children", ()):
        if child.get("name") == "dataformat_id" and str(child.get("value")).isdigit():
            found.add(int(child["value"]))
        found |= formats(child)
    return frozenset(found)


def wkt(spatialreference: Any) -> str | None:
    """The WKT in PDAL's ``spatialreference``, if there is any."""
    told = spatialreference.get("srs", spatialreference) if isinstance(spatialreference, dict) else {}
    return next((text for name in ("compoundwkt", "wkt") if (text := told.get(name))), None)


def _where(cls: type[Filter]) -> str:
    return f"filters.python ({cls.type_name})"


def _filtered(
    stage: Filter, ins: Columns, given: Given, views: Views, filled: frozenset[str] = frozenset()
) -> tuple[dict[str, Column], PointCloud]:
    """The columns that ``stage`` changes, and the cloud that it leaves. ``filled``: the dimensions it may fill."""
    read = formats(given.get("metadata"))
    within = flags_are_within(ins, read)
    # What PDAL has just added is zero everywhere, and was not there in any sense of the word.
    columns = {name: ins[name] for name in ins if name not in filled or ins[name].any()}
    with blamed(_where(type(stage)), len(next(iter(ins.values()), ()))):
        cloud = to_cloud(columns, wkt(given.get("spatialreference")), flags_within=within, stage="filters.python")
        with progress(stage.type_name):
            after = stage.run(cloud)
        found = back(cloud, after, ins, flags_within=within) if len(after) == len(cloud) else {}
    for sentence in views.news(lost_flags(ins, read)):
        tell(stage.type_name, f"warning: {sentence}")
    _tell(stage, cloud, after, views)
    given["out_metadata"] = metadata(after.history[-1].figures, after.history[-1].warnings)
    return found, after


def _tell(stage: Filter, cloud: PointCloud, after: PointCloud, views: Views) -> None:
    record = after.history[-1]
    cut = views.cut(stage, after if len(after) == len(cloud) else cloud.note(stage.type_name, record.figures))
    for sentence in views.news([*record.warnings, *([cut] if cut else [])]):
        tell(stage.type_name, f"warning: {sentence}")
    if views.count <= MOST_TOLD:
        tell(stage.type_name, _figures(record.figures, cloud, after))
    if views.count == MOST_TOLD + 1:
        tell(stage.type_name, "more views follow; their figures are not shown")


def _figures(figures: Mapping[str, Any], cloud: PointCloud, after: PointCloud) -> str:
    """What was done, in a line."""
    unit = crs.length_unit(cloud)
    parts = [f"{len(cloud):,} points"]
    if "flagged" in figures:
        parts.append(f"{figures['flagged']:,} flagged as outliers")
    if "noise" in figures:
        parts.append(f"noise {length(figures['noise'], unit)} ({figures['noise_source']})")
    if "flagged" not in figures:
        parts.append(f"moved by {length(_mean_way(cloud, after), unit)} on average")
    return ", ".join(parts)


def _mean_way(cloud: PointCloud, after: PointCloud) -> float:
    """The mean displacement, cloud units."""
    if after.xyz is cloud.xyz or not len(cloud):
        return 0.0
    squares = np.zeros(len(cloud))
    for axis in range(3):
        squares += (after.xyz[:, axis] - cloud.xyz[:, axis]) ** 2
    return float(np.sqrt(squares, out=squares).mean())
