"""writers.e57: E57 files, one scan or several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from deburr.core.cloud import Extent, PointCloud
from deburr.core.crs import words as crs
from deburr.core.errors import WriteError
from deburr.core.files import replacing
from deburr.core.kept import Kept
from deburr.core.stage import Writer
from deburr.writers._parts import beside_points, checked, written_at_once


class E57(Writer):
    """Write the points as E57.

    A cloud that came from an E57 file is written as it was read: scans with their poses, fields in their precision,
    metadata, images, and what nobody knows; points that did not move keep their raw values, moved ones are rounded to
    the steps of their fields. A cloud from elsewhere becomes one scan with coordinates in double precision; dimensions
    that E57 has no fields for get fields of deburr's own.
    """

    type_name: ClassVar[str] = "writers.e57"
    extensions: ClassVar[tuple[str, ...]] = ("e57",)
    kept: ClassVar[Mapping[str, Kept]] = {
        "e57": Kept(
            "the same raw values and tree", "as read (steps, single or double precision); else double",
            "poses, what is told of scans and sensors, extensions", "as read; else one", "yes", exact=True, crs=True,
        )
    }  # fmt: skip

    def write(self, cloud: PointCloud) -> PointCloud:
        """Write ``filename``. Raises `deburr.core.errors.WriteError` and leaves an existing file intact."""
        from deburr.formats.e57.file import E57Source
        from deburr.writers._e57_file import Assembly, Blobs, Tables, copied, fresh

        path = self.filename
        source = cloud.source if isinstance(cloud.source, E57Source) and not cloud.reprojected else None
        warnings = []
        tables: Tables = {}
        blobs: Blobs = {}
        try:
            if source is None:
                root, scans = fresh(cloud)
                if lost := int((~cloud.located).sum()):
                    warnings.append(f"{path}: {lost:,} points without coordinates are written as invalid ones")
            else:
                root, scans, tables, blobs = copied(source, cloud)
        except WriteError as error:
            raise WriteError(f"{path}: {error}") from error
        if beside := beside_points(cloud.source, E57Source) or (
            cloud.source.beside_points() if cloud.reprojected and isinstance(cloud.source, E57Source) else ""
        ):
            warnings.append(f"{path}: E57 has no place for {beside} of the file that was read, which were left out")
        unit = crs.length_unit(cloud)
        if unit not in ("m", crs.UNITS):
            warnings.append(
                f"{path}: E57 is in metres by its definition, and the coordinates are in {unit}; scale them"
            )
        warnings += [f"{path}: {said}" for said in dict.fromkeys(said for scan in scans for said in scan.warnings)]
        with replacing(path) as temporary, open(temporary, "wb") as stream:
            Assembly(root, scans, tables, blobs, path).write(stream)
        figures: dict[str, object] = {"points": len(cloud), "scans": len(scans)}
        if rounding := max((scan.rounding for scan in scans), default=0.0):
            figures["coordinate_rounding_max"] = rounding
        return cloud.note(self.type_name, figures, *warnings)

    def write_parts(self, parts: Iterable[PointCloud], extent: Extent) -> PointCloud:
        """Write the points of ``parts`` as one cloud. All are held in memory, as a scan's limits depend on every value.

        Of parts of several files, the scans of each stay together, with what is told of them.
        """
        with checked(parts, extent, self.filename) as clouds:
            return written_at_once(self, clouds, extent)
