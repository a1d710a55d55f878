"""readers.e57: all scans of an E57 file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from deburr.core.addresses import shown
from deburr.core.cloud import PointCloud, extent_of, kinds
from deburr.core.figure import Reports, Same
from deburr.core.reading import opened
from deburr.core.stage import Outline, Reader

if TYPE_CHECKING:
    from deburr.formats.e57.file import E57Source

_FATE = {
    "keep": "they stay as they are and count as withheld; option 'missing': 'drop' leaves them out",
    "drop": "they are left out",
}


class E57(Reader):
    """Read the points of all scans of an E57 file, one scan after another, where they are in the world.

    Each scan's pose is applied; PointSourceId tells the scan, from 1 on. Every field of a point becomes a dimension:
    ``intensity``, colours, ``timeStamp`` (GpsTime), returns and normals by PDAL's names, ``rowIndex`` and others by
    their own. Intensities and colours that are no whole numbers of 16 bits are spread over 16 bits by their limits.
    Points whose state is invalid count as withheld. writers.e57 writes all of it as it was, and the images, too.
    """

    type_name: ClassVar[str] = "readers.e57"
    extensions: ClassVar[tuple[str, ...]] = ("e57",)
    reports: ClassVar[Reports] = {
        "scans": Same(description="scans in the file"),
        "poses": Same(description="how many of them have a pose"),
        "precision": Same(description="how coordinates are stored"),
        "images": Same(description="images in the file"),
    }

    missing: Literal["keep", "drop"] = Field(
        "keep", description="what becomes of points that the scanner calls invalid: they stay as they are, or go"
    )

    def read(self) -> PointCloud:
        """Read ``filename``. Raises `deburr.core.errors.ReadError`."""
        from deburr.formats.e57.file import SCAN, columns_of, crs_of, load

        path = shown(self.filename)
        with opened(self.filename) as stream:
            source = load(stream, self.filename)
        dims = columns_of(source)
        if SCAN not in dims:
            kind = np.uint16 if len(source.scans) < 65536 else np.uint32
            dims[SCAN] = np.repeat(np.arange(1, len(source.scans) + 1, dtype=kind), [len(s) for s in source.scans])
        places = [scan.xyz() for scan in source.scans if len(scan)] or [np.zeros((0, 3))]
        xyz = places[0] if len(places) == 1 else np.concatenate(places)
        cloud = PointCloud(xyz, dims, crs=crs_of(source.root), source=source, units="metre")
        there = cloud.located & (np.asarray(dims.get("Withheld", 0)) == 0)
        warnings = []
        if not there.all():
            count = int((~there).sum())
            warnings.append(f"{path}: {count:,} of {len(there):,} points are invalid; {_FATE[self.missing]}")
        if self.missing == "drop":
            cloud = replace(cloud.select(there), extent=extent_of(xyz[there]))
        return cloud.note(self.type_name, {"points": len(cloud), "units": "metre", **_figures(source)}, *warnings)

    def outline(self) -> Outline:
        """What is in ``filename``, which has to be read for it; lengths are metres, by the standard."""
        cloud = self.read()
        return Outline(cloud.extent, cloud.crs, "metre", self.type_name, kinds(cloud.dims))

    @classmethod
    def summary(cls, figures: Mapping[str, Any], unit: str) -> list[tuple[str, str]]:
        """What was found in the file."""
        found = [("scans", f"{figures['scans']:,}, {figures['poses']:,} of them with a pose")]
        if figures["precision"]:
            found.append(("coordinates", figures["precision"]))
        return found + ([("images", f"{figures['images']:,}")] if figures["images"] else [])


def _figures(source: E57Source) -> dict[str, Any]:
    """What `pipeline info` and the report tell of the file."""
    found = {"scans": len(source.scans), "poses": sum(scan.pose is not None for scan in source.scans)}
    kinds = sorted({_precision(scan.field_of[name]) for scan in source.scans for name in scan.places or ()})
    return {**found, "precision": ", ".join(kinds) or None, "images": source.images}


def _precision(field: Any) -> str:
    """How fine a coordinate is."""
    if field.kind != "integer":
        return str(field.kind)
    unit = "rad" if field.path.endswith(("Azimuth", "Elevation")) else "m"
    return f"whole steps of {field.scale:.3g} {unit}"
