"""What PDAL's stages do to a cloud, as far as it decides where the denoiser belongs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.core.crs import lonlat, wkt
from deburr.core.where import Condition, WhereError, parse
from deburr.pipeline.spec import Entry

#: read and write; noise: tells noise from surface; early: the denoiser follows it; late: the denoiser precedes it;
#: denoise: it is the denoiser.
Kind = Literal["read", "write", "noise", "early", "late", "denoise", "unknown"]


@dataclass(frozen=True)
class Role:
    """What a stage is for the denoiser, and what it does: ``noise is classified``, ``the ground is found``."""

    kind: Kind
    does: str = ""

    @property
    def finds_noise(self) -> bool:
        """Whether it tells points that nobody knew to be noise; not so, if it removes those that are marked."""
        return self.kind == "noise" and self.does != _REMOVED


_GROUND, _HEIGHTS = "the ground is found", "heights above ground are measured"
_FEATURES, _COLOURS = "features of the surface are computed", "points take colours from their places"
_THINNED, _PIECES = "points are thinned out", "the cloud is cut into pieces, which lack what lay around them"
_SURFACE, _COUNTED = "a surface or raster is made of the points", "places are counted and described"

_LATE = {
    _GROUND: "smrf pmf csf mongus skewnessbalancing sparsesurface ground litree neighborclassifier radiusassign",
    _HEIGHTS: "hag hag_nn hag_delaunay hag_dem height",
    _FEATURES: "normal covariancefeatures eigenvalues approximatecoplanar estimaterank optimalneighborhood "
    "dimensionality localfeatures geomdistance m3c2 planefit miniball zsmooth",
    _COLOURS: "colorization colorinterp overlay attribute h3",
    _THINNED: "decimation sample fps dartsample relaxationdartthrowing voxelgrid voxelcenternearestneighbor "
    "voxelcentroidnearestneighbor voxeldownsize firstinvoxel firstentryvoxel griddecimation head tail",
    _PIECES: "splitter chipper divider groupby returns separatescanline separateflightline shell supervoxel",
    _SURFACE: "delaunay greedyprojection gridprojection poisson faceraster movingleastsquares",
    _COUNTED: "hexbin stats info expressionstats lloydkmeans",
}
_EARLY = {
    "files are merged": "merge",
    "the cloud is registered": "icp cpd teaser",
    "points are moved as a whole": "transformation projpipeline straighten georeference trajectory",
    "": "crop ferry sort mortonorder randomize gpstimeconvert locate computerange label_duplicates "
    "streamcallback range expression mongo assign",
}
_CLASSIFIED, _CULLED = "noise is classified", "outliers are removed"
_TOLD, _REMOVED = "noise is told by what was measured", "noise is removed"
_NOISE = {_CLASSIFIED: "outlier elm", _CULLED: "iqr mad dem"}
#: Filters that measure something, by which others may then tell noise, and the dimension they measure it in.
_MEASURES = {
    "lof": "LocalOutlierFactor",
    "nndistance": "NNDistance",
    "radialdensity": "RadialDensity",
    "reciprocity": "Reciprocity",
    "cluster": "ClusterID",
    "dbscan": "ClusterID",
    "miniball": "Miniball",
    "planefit": "PlaneFit",
}
_TABLES: tuple[tuple[Kind, dict[str, str]], ...] = (("late", _LATE), ("early", _EARLY), ("noise", _NOISE))
_ROLES = {
    f"filters.{name}": Role(kind, does)
    for kind, table in _TABLES
    for does, names in table.items()
    for name in names.split()
} | {f"filters.{name}": Role("late", _FEATURES) for name in _MEASURES}

_CHOOSERS = ("filters.range", "filters.expression", "filters.mongo", "filters.assign")
# No part is tried in more than one way (*+), nor beyond the next bracket: else long texts would take hours.
_RANGE = re.compile(r"(?<!\w)(\w++)\s*+(!?)\s*+([\[(])\s*+([^:\s\[\]()]*+)\s*+:\s*+([^\s\[\]()]*+)\s*+([\])])")
_OF = r"\s*+(?:\[[^\[\]]*+\]\s*+)?"
_MARKS = re.compile(rf"Classification{_OF}=\s*+(?:7|18)\b|Withheld{_OF}=\s*+1\b")
_WIPES = re.compile(r"Classification\s*+(?:\[\s*+:\s*+\]\s*+)?=\s*+[01]\s*+$")
_DROPS = re.compile(r"Classification\s*+!=\s*+(?:7|18)\b|!\s*+\(?\s*+Classification\s*+==\s*+(?:7|18)\b")
#: Ways in which other dimensions may meet an expression that are tried at most.
_TRIES = 20_000
_NOISE_NUMBERS, _SURFACE_NUMBERS, _ALL = {7, 18}, set(range(7)), range(19)


def roles(entries: Sequence[Entry], types: Sequence[str]) -> list[Role]:
    """The role of each stage among the others; ``types`` are their types, empty for files that PDAL chooses by name."""
    found = [_role(kind, entry) for kind, entry in zip(types, entries, strict=True)]
    for place, kind in enumerate(types):
        dimension = _MEASURES.get(kind.partition(".")[2])
        chooser = None if dimension is None else _chooser(entries, types, found, place, dimension)
        if chooser is not None:
            found[place], found[chooser] = Role("early"), Role("noise", _TOLD)
    for place, (kind, entry) in enumerate(zip(types, entries, strict=True)):
        noise_follows = _next(found, place) == "noise"
        if kind == "filters.assign" and any(_WIPES.search(text) for text in _assigned(entry)) and not noise_follows:
            found[place] = Role("late", "classes are wiped, which may tell noise from surface")
        if found[place].does == _COUNTED and noise_follows:
            found[place] = Role("early")  # to look at noisy points does no harm
    return found


def _next(found: Sequence[Role], place: int) -> str:
    """Of noise and late, which comes first behind stage ``place``, stages aside that only count and describe."""
    kinds = (role.kind for role in found[place + 1 :] if role.kind in ("noise", "late") and role.does != _COUNTED)
    return next(kinds, "")


def in_degrees(srs: Any) -> bool:
    """Whether a CRS, as PDAL's options name them, is geographic."""
    text = str(srs or "").strip()
    if re.match(r"(?i)OGC:CRS84", text) or re.search(r"(?i)\+proj=(longlat|latlong)", text):
        return True
    plan = wkt.units(text).plan
    if plan is not None and plan.angle:
        return True
    code = re.match(r"(?i)EPSG:(\d+)", text)
    projection = lonlat.parse(f"EPSG:{code[1]}") if code else None
    return projection is not None and projection.kind == "degrees"


def _chooser(
    entries: Sequence[Entry], types: Sequence[str], found: Sequence[Role], place: int, dimension: str
) -> int | None:
    """The stage that chooses points by what stage ``place`` measured, if nothing else is computed before it."""
    for later in range(place + 1, len(types)):
        if types[later] in _CHOOSERS and dimension in json.dumps(entries[later].options, default=str):
            return later
        if found[later].kind == "late" and types[later].partition(".")[2] not in _MEASURES:
            return None
    return None


def _role(kind: str, entry: Entry) -> Role:
    family = kind.partition(".")[0]
    if family == "readers":
        return Role("read", "points are read")
    if family == "writers":
        raster = kind in ("writers.gdal", "writers.raster")
        return Role("late", _SURFACE) if raster else Role("write", "points are written")
    if kind == "filters.reprojection":
        if in_degrees(entry.options.get("out_srs")):
            return Role("late", "x and y become degrees, in which no distance means anything")
        before = "from degrees " if in_degrees(entry.options.get("in_srs")) else ""
        return Role("early", f"points are projected {before}to lengths")
    if kind in ("filters.range", "filters.expression"):
        return _chosen(_kept(kind, entry))
    if kind == "filters.assign" and any(_MARKS.search(text) for text in _assigned(entry)):
        return Role("noise", _CLASSIFIED)
    if kind in ("filters.iqr", "filters.mad") and entry.options.get("dimension") not in ("X", "Y", "Z"):
        return Role("early")
    if kind == "filters.spd" or (kind == "filters.python" and _is_ours(entry)):
        ours = entry.options.get("function", "denoise")
        return Role("denoise") if ours == "denoise" else Role("noise", _CLASSIFIED)
    # filters.gridDecimation, too.
    return _ROLES.get(kind.lower(), Role("unknown"))


def _chosen(kept: set[int]) -> Role:
    """Of a stage that keeps points of the classes ``kept`` alone."""
    if kept >= _SURFACE_NUMBERS:
        return Role("early") if kept >= _NOISE_NUMBERS else Role("noise", _REMOVED)
    return Role("late", "classes are picked out, and the denoiser should see the surface around them")


def _kept(kind: str, entry: Entry) -> set[int]:
    """The classes, of 0 to 18, of which a range or expression keeps points."""
    given = entry.options.get("limits" if kind == "filters.range" else "expression", "")
    text = ",".join(map(str, given)) if isinstance(given, list) else str(given)
    if kind == "filters.range":
        limits = [limit for limit in _RANGE.findall(text) if limit[0] == "Classification"]
        return {number for number in _ALL if _passes(number, limits)}
    try:
        return _kept_by(parse(text))
    except WhereError:
        # PDAL's language knows more; what cannot be read, and does not look as if it dropped noise, keeps all.
        return set(_ALL) - _NOISE_NUMBERS if _DROPS.search(text) else set(_ALL)


def _kept_by(condition: Condition) -> set[int]:
    """The classes of which some point may meet the condition: with other dimensions at and around its numbers."""
    names = {token.text for token in condition.program if token.kind == "name"} - {"Classification"}
    numbers = {float(token.text) for token in condition.program if token.kind == "number"}
    values = sorted({number + step for number in numbers for step in (-1, 0, 1)}) or [0.0]
    if len(_ALL) * len(values) ** len(names) > _TRIES:
        return set(_ALL)
    grid = np.stack(np.meshgrid(np.array(_ALL, float), *[np.array(values)] * len(names), indexing="ij"), axis=-1)
    columns = dict(zip(["Classification", *sorted(names)], grid.reshape(-1, len(names) + 1).T, strict=True))
    zeros = np.zeros(len(columns["Classification"]))
    cloud = PointCloud(np.column_stack([columns.get(axis, zeros) for axis in "XYZ"]), columns)
    return set(columns["Classification"][condition.of(cloud)].astype(int).tolist())


def _is_ours(entry: Entry) -> bool:
    """Whether a stage runs our script."""
    return str(entry.options.get("script", "")).replace("\\", "/").rpartition("/")[2] == "pdal_filter.py"


def _passes(number: int, limits: Sequence[tuple[str, ...]]) -> bool:
    """Whether PDAL's ranges let a class pass. Of several negated ones each is meant to drop some: all must agree."""
    inside = [(bool(negated), _within(number, *rest)) for _, negated, *rest in limits]
    plain = [hit for negated, hit in inside if not negated]
    return (not plain or any(plain)) and not any(hit for negated, hit in inside if negated)


def _within(number: int, opened: str, low: str, high: str, closed: str) -> bool:
    try:
        least, most = float(low or "-inf"), float(high or "inf")
    except ValueError:
        return True
    above = number >= least if opened == "[" else number > least
    return above and (number <= most if closed == "]" else number < most)


def _assigned(entry: Entry) -> list[str]:
    """What filters.assign assigns, one text each."""
    given = [entry.options.get(name, []) for name in ("assignment", "value")]
    return [str(text) for one in given for text in (one if isinstance(one, list) else str(one).split(","))]
