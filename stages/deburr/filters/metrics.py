"""filters.metrics: measures the noise of a cloud, as it was read and as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from pathlib import PurePath
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from deburr.core.addresses import name_of
from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError, RunError
from deburr.core.figure import Count, Reports, Same, Summed
from deburr.core.horizon import Known
from deburr.core.neighbors import SPACING_K, Neighbors
from deburr.core.progress import advance
from deburr.core.registry import by_extension, stage_class
from deburr.core.stage import Filter, Reach, Reader
from deburr.core.sums import Histogram, Sum, Sums
from deburr.filters._mesh import SUFFIXES, Mesh, read_mesh
from deburr.filters._planes import Shape, local_shape
from deburr.filters._repeatability import By, repeatability
from deburr.filters._shapes import rms, root, shape_figures, shape_sums, sums_of
from deburr.filters._sure import sure_as_read, sure_of
from deburr.filters._words import first, measured

#: Points measured at a time.
CHUNK = 1 << 18

#: What every figure is measured in; ``units`` are the cloud's own.
UNITS = {
    "residual_rms, residual_median": "units; distance to the plane through the nearest neighbours",
    "spacing_median": "units; side of the square that a point owns on the surface",
    "points_per_square_unit": "points per unit^2 of surface (1 / spacing_median^2)",
    "displacement": "units; distance of each point to the place it was read from",
    "to_reference_*": "units; each point to the nearest reference point; for a mesh, point-to-mesh",
    "from_reference_*": "units; each reference point, or sample of the mesh, to the nearest point",
    "hausdorff": "units; the larger of to_reference_max and from_reference_max",
    "chamfer": "units, not squared; to_reference_mean + from_reference_mean",
    "chamfer_squared": "units^2; the mean squares of both directions, added",
    "own_rms": "units; each point to the reference point of its own row",
    "offset": "units; median of the local offsets of strips: of their sizes, or of the first strip of a pair",
    "random": "units; RMS distance across surfaces that others saw too, without those others' noise, and without the "
    "local offset of strips",
}


class Metrics(Filter):
    """Measure the active points (neither withheld nor of class 7 or 18) and change nothing; see the run report.

    Without ``reference``: residuals to local planes, spacing, density, displacement. With a cloud or mesh as one also
    Chamfer and Hausdorff distance; a mesh is measured exactly one way and by even samples the other way, as many as
    there are points (at least 10,000). With ``classes`` the other points are as if they were not there; so are those
    of a reference cloud that is classified. ``as_read``: the points where they were read; ``now``: where they are.
    Medians and percentiles come from histograms whose bins are 0.2 % wide. With a reference, all points must fit into
    memory at once, because the point nearest to one of the reference's may lie anywhere; with ``repeatability`` too.

    ``repeatability`` needs no truth: points are judged by others that saw the same surface. Each of two flight strips
    (PointSourceId) by two random halves of the other gives the local offset of the strips, and the random rest; a
    random half of all points by the two other quarters gives the random part alone. The noise of who judges cancels;
    errors that neighbours have in common are not seen. Points that were cleaned *together* have borrowed from each
    other, so that what is told of ``now`` is agreement and not accuracy: ``benchmarks/real.py`` cleans them apart.
    """

    type_name: ClassVar[str] = "filters.metrics"
    reports: ClassVar[Reports] = {
        "points": Count(description="points that were measured"),
        "points_left_out": Count(description="points of class 7 or 18, withheld ones, and those of other classes"),
        "classes": Same(description="the classes that were measured"),
        "neighbors": Same(description="of how many points the planes are"),
        "units": Same(description="what each figure is, and its unit"),
        "as_read": Summed(description="the figures below of the points where they were read"),
        "now": Summed(description="the same of the points where they are"),
        "displacement": Summed(
            description="from the place it was read from to that of each point: median, p99, max, rms"
        ),
    }
    files: ClassVar[frozenset[str]] = frozenset({"reference"})

    reference: str | None = Field(
        None,
        description="the truth: a cloud of any format that is read, or a mesh (PLY, OBJ, STL), in the same coordinates",
    )
    paired: bool = Field(False, description="row i of the reference cloud is the true place of row i of the file read")
    classes: list[Annotated[int, Field(ge=0, le=255)]] | None = Field(
        None, min_length=1, description="measure only points of these ASPRS classes (2 ground, 5 high vegetation, ...)"
    )
    neighbors: int = Field(16, ge=3, le=256, description="neighbours that span a point's local plane")
    repeatability: By | None = Field(
        None, description="judge points by others that saw the same surface: flight strips, or random halves"
    )
    seed: int = Field(0, ge=0, lt=1 << 63, description="of repeatability: the same seed gives the same halves")

    def check(self, before: tuple[Any, ...]) -> list[str]:
        """Refuse ``paired`` without a reference, and a ``seed`` for nothing."""
        if "seed" in self.model_fields_set and self.repeatability is None:
            return ["option 'seed' needs 'repeatability'; add it, or remove 'seed'"]
        if self.paired and self.reference is None:
            return ["option 'paired' needs a 'reference' cloud; name one, or remove 'paired'"]
        if self.paired and _suffix(self.reference or "") in (".obj", ".stl"):
            return [f"option 'paired' needs a cloud, and '{self.reference}' is a mesh; remove 'paired'"]
        return []

    @property
    def looks_at(self) -> frozenset[str]:
        """What says which points count."""
        strips = ["PointSourceId"] if self.repeatability == "strips" else []
        return frozenset({"Classification", "Withheld", *strips})

    def reach(self, known: Known) -> Reach | None:
        """As far as to the farthest neighbour; with a reference, whose points have their nearest anywhere, no limit.

        None with ``repeatability`` too: how far from a surface a place may lie is told by the median of all.
        """
        alone = self.reference is None and self.repeatability is None
        return Reach(hops=max(1.0, sqrt(self.neighbors / SPACING_K))) if alone else None

    @classmethod
    def summary(cls, figures: Mapping[str, Any], unit: str) -> list[tuple[str, str]] | None:
        """Before and after."""
        return list(measured(figures, unit))

    @classmethod
    def headline(cls, figures: Mapping[str, Any], unit: str) -> str | None:
        """The best of what was measured, before and after."""
        return first(figures, unit)

    def run(self, cloud: PointCloud) -> PointCloud:
        """Add the figures to the cloud's history. Raises `ReadError` for a reference that cannot be read, `RunError`
        for ``classes`` where the points have none."""
        active = self._measured(cloud)
        moved = bool(cloud.moved.any())
        seen = {"now": self._shape(cloud, cloud.xyz, active)}
        seen["as_read"] = self._shape(cloud, cloud.original, active) if moved else seen["now"]
        mine = active & cloud.core
        places = cloud.original[mine]
        sure = np.ones(len(cloud), dtype=np.bool_)
        sure[mine] = sure_of(cloud, cloud.xyz[mine], seen["now"].radii)
        sure[mine] &= sure_as_read(cloud, places, seen["as_read"].radii)
        cloud = cloud.settle(sure)
        counted = cloud.counted[mine]
        sums: dict[str, Sum] = {}
        for name, shape in seen.items():
            sums |= shape_sums(shape, counted, name)
        sums |= sums_of(np.linalg.norm(cloud.xyz[mine] - places, axis=1)[counted], "displacement")
        figures = self._told(cloud, active, sums)
        if self.reference is not None:
            self._compare(cloud, active, moved, figures)
        doubts = self._doubts(cloud, active)
        if self.repeatability is not None:
            spacing = figures["as_read"]["spacing_median"]
            found = repeatability(cloud, np.flatnonzero(active), self.repeatability, self.seed, spacing)
            figures["repeatability"], more = found
            doubts += more
        return cloud.note(self.type_name, figures, *doubts, sums=sums)

    def figures(self, sums: Sums) -> dict[str, Any]:
        """What is measured of the cloud alone."""
        if not sums:
            return {}
        lengths = sums["displacement"]
        assert isinstance(lengths, Histogram)
        return {
            "now": shape_figures(sums, "now"),
            "as_read": shape_figures(sums, "as_read"),
            "displacement": {
                "median": lengths.quantile(0.5),
                "p99": lengths.quantile(0.99),
                "max": lengths.max,
                "rms": root(sums["displacement squares"]),
            },
        }

    def _told(self, cloud: PointCloud, active: Bools, sums: Sums) -> dict[str, Any]:
        figures: dict[str, Any] = {
            "points": int((active & cloud.counted).sum()),
            "points_left_out": int((~active & cloud.counted).sum()),
        }
        if self.classes is not None:
            figures["classes"] = self.classes
        return {**figures, **self.figures(sums), "neighbors": self.neighbors, "units": UNITS}

    def _doubts(self, cloud: PointCloud, active: Bools) -> list[str]:
        n = int(active.sum())
        if n >= 4 or (cloud.horizon is not None and cloud.horizon.bounded):
            return []
        return [f"{n} points are too few to measure residuals (at least 4)"]

    def _shape(self, cloud: PointCloud, xyz: Floats, active: Bools) -> Shape:
        return local_shape(xyz[active], self.neighbors, cloud.core[active])

    def _compare(self, cloud: PointCloud, active: Bools, moved: bool, figures: dict[str, Any]) -> None:
        """Add the distances to the reference to ``figures``."""
        truth = Reference(str(self.reference), self.classes)
        if not active.any():
            return
        for name, xyz in {"now": cloud.xyz, "as_read": cloud.original}.items():
            if name == "as_read" and not moved:
                figures["as_read"] = figures["now"]
                continue
            figures[name] |= truth.compare(xyz[active])
            if self.paired:
                figures[name]["own_rms"] = truth.own_rms(xyz[active], cloud.rows[active])

    def _measured(self, cloud: PointCloud) -> Bools:
        """(N,) bool: the active points, of ``classes`` if those are given."""
        if self.classes is None:
            return cloud.active
        if "Classification" not in cloud.dims:
            raise RunError("option 'classes' needs the dimension 'Classification', which the cloud has not; remove it")
        return cloud.active & np.isin(cloud.dims["Classification"], self.classes)


class Reference:
    """The truth that a cloud is compared with: points (of ``classes``), or a mesh.

    ``every`` (R, 3) are all points of a reference cloud, row by row; ``points`` those that count,
    by the same rule as in the cloud that is measured.
    Raises `ReadError` if it cannot be read, or has no points to compare with.
    """

    def __init__(self, path: str, classes: list[int] | None = None) -> None:
        self.path = path
        self.mesh: Mesh | None = read_mesh(path) if _suffix(path) in SUFFIXES else None
        self.every = self.points = np.zeros((0, 3))
        if self.mesh is None:
            cloud = _read_cloud(path)
            counting = cloud.active
            if classes is not None:
                known = "Classification" in cloud.dims
                counting = np.isin(cloud.dims["Classification"], classes) if known else np.full(len(cloud), True)
            self.every, self.points = cloud.xyz, cloud.xyz[counting]
            if not len(self.points):
                of_classes = f" of class {', '.join(map(str, classes))}" if classes and len(self.every) else ""
                raise ReadError(f"{path}: holds no points{of_classes}; name a reference that does")

    def compare(self, xyz: Floats) -> dict[str, Any]:
        """Distances from ``xyz`` (N, 3), N >= 1, to the reference and back; see `UNITS`."""
        kind = "cloud" if self.mesh is None else "mesh"
        points = self.points if self.mesh is None else self.mesh.sample(max(len(xyz), 10_000))
        there = self._measured(nearest(xyz, points) if self.mesh is None else self.mesh.distances(xyz))
        back = self._measured(nearest(points, xyz))
        figures = {"reference": kind, f"{'reference' if self.mesh is None else 'mesh'}_points": len(points)}
        for name, distances in (("to_reference", there), ("from_reference", back)):
            figures[f"{name}_mean"] = float(distances.mean())
            figures[f"{name}_rms"] = rms(distances)
            figures[f"{name}_max"] = float(distances.max())
        figures["hausdorff"] = float(max(there.max(), back.max()))
        figures["chamfer"] = float(there.mean() + back.mean())
        figures["chamfer_squared"] = float((there**2).mean() + (back**2).mean())
        return figures

    def own_rms(self, xyz: Floats, rows: npt.NDArray[np.int64]) -> float | None:
        """RMS distance of each point to the reference point of its source row."""
        if self.mesh is not None or rows.max(initial=-1) >= len(self.every):
            what = "is a mesh" if self.mesh is not None else f"has {len(self.every)} points, fewer than the file read"
            raise ReadError(f"{self.path}: {what}, so rows cannot be paired; remove 'paired', or name the clean cloud")
        return rms(self._measured(np.linalg.norm(xyz - self.every[rows], axis=1)))

    def _measured(self, distances: Floats) -> Floats:
        """``distances``, which must have squares. Raises `RunError`."""
        if not distances.max(initial=0) < 1e140:  # NaN, where coordinates lie so far apart that they overflow
            raise RunError(
                f"the reference {self.path} lies more than 1e140 away, too far to measure; check the units of both"
            )
        return distances


def _suffix(path: str) -> str:
    return PurePath(name_of(path)).suffix.lower()


def _read_cloud(path: str) -> PointCloud:
    # Found through the registry: filters know no reader.
    kind = by_extension("readers", path)
    if kind is None:
        raise ReadError(f"{path}: is no cloud or mesh that is known; name a reference of another format")
    reader = stage_class(kind).model_validate({"filename": path})
    assert isinstance(reader, Reader)
    return reader.read()


def nearest(queries: Floats, points: Floats) -> Floats:
    """Distances (M,) of ``queries`` (M, 3) to the nearest of ``points`` (N, 3)."""
    tree = Neighbors(points)
    out = np.empty(len(queries))
    for start in range(0, len(queries), CHUNK):
        part = queries[start : start + CHUNK]
        out[start : start + len(part)] = tree.nearest(part, 1)[0][:, 0]
        advance("distances to the reference", start + len(part), len(queries))
    return out
