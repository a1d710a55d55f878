"""Stages of another package: a reader and a writer of a text format, filters that remove points, one that counts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.cloud import Extent, PointCloud, extent_of
from deburr.core.errors import ReadError
from deburr.core.figure import Count, Least, Most, Reports, Same, Summed
from deburr.core.files import check_folder, replacing
from deburr.core.horizon import Known
from deburr.core.stage import Filter, Reach, Reader, Writer
from deburr.core.sums import Exact, Sums


class Xyz(Reader):
    """Read a text file of x, y and z, one point a line."""

    type_name: ClassVar[str] = "readers.survey"
    extensions: ClassVar[tuple[str, ...]] = ("survey",)

    def read(self) -> PointCloud:
        """Read the file. Raises `ReadError`."""
        try:
            xyz = np.loadtxt(self.filename, ndmin=2).reshape(-1, 3)
        except (OSError, ValueError) as error:
            raise ReadError(f"{self.filename}: cannot be read ({error}); give a text file of x, y and z") from error
        return PointCloud(xyz, extent=extent_of(xyz)).note(self.type_name, {"points": len(xyz)})


class XyzWriter(Writer):
    """Write x, y and z as text, one point a line."""

    type_name: ClassVar[str] = "writers.survey"
    extensions: ClassVar[tuple[str, ...]] = ("survey",)

    def write(self, cloud: PointCloud) -> PointCloud:
        """Write the cloud."""
        self._write([cloud])
        return cloud.note(self.type_name, {"points": len(cloud)})

    def write_parts(self, parts: Iterable[PointCloud], extent: Extent) -> PointCloud:
        """Write the points of all parts."""
        self._write(parts)
        return PointCloud(np.zeros((0, 3)), extent=extent).note(self.type_name, {"points": extent.count})

    def _write(self, parts: Iterable[PointCloud]) -> None:
        check_folder(Path(self.filename))
        with replacing(self.filename) as temporary, open(temporary, "w", encoding="ascii") as file:
            for part in parts:
                np.savetxt(file, part.xyz, fmt="%.17g")


class Floor(Filter):
    """Remove the points below a height."""

    type_name: ClassVar[str] = "filters.floor"
    reports: ClassVar[Reports] = {"points": Count(), "removed": Count(), "below": Same(unit="length")}
    keeps_count: ClassVar[bool] = False
    example: ClassVar[dict[str, Any]] = {"below": 99.8}
    below: float = Field(0.0, description="height of the floor", json_schema_extra={"unit": "cloud units"})

    @property
    def looks_at(self) -> frozenset[str]:
        """Nothing but coordinates."""
        return frozenset()

    def reach(self, known: Known) -> Reach:
        """Nowhere but to the point itself."""
        return Reach()

    def run(self, cloud: PointCloud) -> PointCloud:
        """The points that are not below; in a tile, those of others go as well."""
        keep: Bools = cloud.xyz[:, 2] >= self.below
        figures = {
            "points": int(cloud.counted.sum()),
            "removed": int((~keep & cloud.counted).sum()),
            "below": self.below,
        }
        return cloud.select(keep).note(self.type_name, figures)


class Thin(Filter):
    """Keep one point of each cubic cell: the one nearest to the cell's centre, of equally near ones the first."""

    type_name: ClassVar[str] = "filters.thin"
    reports: ClassVar[Reports] = {"points": Count(), "removed": Count()}
    keeps_count: ClassVar[bool] = False
    example: ClassVar[dict[str, Any]] = {"cell": 0.7}
    cell: float = Field(1.0, gt=0, description="edge of the cells", json_schema_extra={"unit": "cloud units"})

    @property
    def looks_at(self) -> frozenset[str]:
        """Nothing but coordinates."""
        return frozenset()

    def reach(self, known: Known) -> Reach:
        """From one corner of a cell to the other."""
        return Reach(length=self.cell * 3**0.5)

    def run(self, cloud: PointCloud) -> PointCloud:
        """One point a cell; those without coordinates stay. In a tile, what is not sure stays, unsettled."""
        there = np.flatnonzero(cloud.located)
        xyz = cloud.xyz[there]
        # Cells begin at the origin of the coordinates, which is the same in all tiles.
        cells = np.floor(xyz / self.cell)
        apart = np.abs(xyz - (cells + 0.5) * self.cell)
        squared = (apart**2).sum(axis=1)
        order = np.lexsort((self._turns(cloud)[there], squared, *cells.T))
        keep: Bools = np.ones(len(cloud), np.bool_)
        keep[there[order[1:]]] = (cells[order[1:]] != cells[order[:-1]]).any(axis=1)
        radii: Floats = np.zeros(len(cloud))
        radii[there] = np.sqrt(((apart + self.cell / 2) ** 2).sum(axis=1))
        sure = self._sure(cloud, radii)
        cloud = cloud.settle(sure)
        gone = ~keep & sure
        figures = {"points": int(cloud.counted.sum()), "removed": int((gone & cloud.counted).sum())}
        return cloud.select(~gone).note(self.type_name, figures)

    def _turns(self, cloud: PointCloud) -> Ints:
        """(N,) the places of the points by file and row, in whatever order they come."""
        file = np.zeros(len(cloud), np.int32) if cloud.horizon is None else cloud.horizon.file
        turns = np.empty(len(cloud), np.int64)
        turns[np.lexsort((cloud.rows, file))] = np.arange(len(cloud))
        return turns

    def _sure(self, cloud: PointCloud, radii: Floats) -> Bools:
        """(N,) which points are settled, and have within ``radii`` (N,) settled points alone and none unseen."""
        if cloud.horizon is None:
            return cloud.settled
        return cloud.settled & cloud.horizon.sure(cloud.xyz, radii, cloud.original[~cloud.settled])


class Blind(Thin):
    """Thin, and take every point of a tile for certain."""

    type_name: ClassVar[str] = "filters.blind"

    def _sure(self, cloud: PointCloud, radii: Floats) -> Bools:
        return cloud.settled


class Hasty(Thin):
    """Thin, and of equally near points keep the one that comes first here."""

    type_name: ClassVar[str] = "filters.hasty"

    def _turns(self, cloud: PointCloud) -> Ints:
        return np.arange(len(cloud))


class Plain(Xyz):
    """As `Xyz`, of an extension that nobody writes."""

    type_name: ClassVar[str] = "readers.plain"
    extensions: ClassVar[tuple[str, ...]] = ("plain",)


class Heights(Filter):
    """Tell of heights: figures of every kind."""

    type_name: ClassVar[str] = "filters.heights"
    reports: ClassVar[Reports] = {
        "points": Count(),
        "highest": Most("the highest point", "length"),
        "lowest": Least(unit="length"),
        "iterations": Same(),
        "mean_z": Summed("mean height", "length"),
    }

    @property
    def looks_at(self) -> frozenset[str]:
        """Nothing but coordinates."""
        return frozenset()

    def reach(self, known: Known) -> Reach:
        """Nowhere but to the point itself."""
        return Reach()

    def run(self, cloud: PointCloud) -> PointCloud:
        """The same cloud, with figures."""
        z = cloud.xyz[cloud.counted, 2]
        sums: Sums = {"z": Exact.of(z)}
        figures: dict[str, Any] = {"points": len(z), "iterations": 5, **self.figures(sums)}
        if len(z):
            figures |= {"highest": float(z.max()), "lowest": float(z.min())}
        return cloud.note(self.type_name, figures, sums=sums)

    def figures(self, sums: Sums) -> dict[str, Any]:
        """The mean height."""
        z = sums["z"]
        assert isinstance(z, Exact)
        return {"mean_z": z.mean} if z.count else {}


class Bare(Filter):
    """Note a figure, and do not say how it is merged."""

    type_name: ClassVar[str] = "filters.bare"

    def reach(self, known: Known) -> Reach:
        """Nowhere but to the point itself."""
        return Reach()

    def run(self, cloud: PointCloud) -> PointCloud:
        """The same cloud, with a figure."""
        return cloud.note(self.type_name, {"mean_z": float(cloud.xyz[:, 2].mean())})
