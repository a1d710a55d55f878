"""readers.pcd: files of the Point Cloud Library, text, binary and compressed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from deburr.core.addresses import shown
from deburr.core.cloud import PointCloud
from deburr.core.figure import Reports, Same
from deburr.core.reading import whole
from deburr.core.stage import Reader
from deburr.formats.pcd.file import load
from deburr.readers._missing import DESCRIPTION, Fate, sorted_out


class Pcd(Reader):
    """Read the points of a PCD file: ascii, binary or binary_compressed, with every field.

    ``rgb`` becomes Red, Green and Blue; names that PDAL has become its own (``normal_x``: NormalX), the others stay.
    Fields of several numbers become dimensions of as many. Viewpoint and grid are carried along for writers.pcd. PCD
    knows no coordinate system. Pixels without depth, whose coordinates are NaN, are treated as withheld points."""

    type_name: ClassVar[str] = "readers.pcd"
    extensions: ClassVar[tuple[str, ...]] = ("pcd",)
    reports: ClassVar[Reports] = {
        "encoding": Same(description="ascii, binary or binary_compressed"),
        "width": Same(description="columns of the grid of pixels; without a grid, points"),
        "height": Same(description="rows of the grid of pixels; without a grid, 1"),
        "fields": Same(description="names and types"),
        "viewpoint": Same(description="where the scanner stood, and its orientation (a quaternion)"),
    }

    missing: Fate = Field("keep", description=DESCRIPTION)

    def read(self) -> PointCloud:
        """Read ``filename``. Raises `deburr.core.errors.ReadError`."""
        path = shown(self.filename)
        xyz, source, left = load(whole(self.filename), path)
        warnings = [f"{path}: {left} bytes after the last point were ignored"] if left else []
        cloud, missing = sorted_out(PointCloud(xyz, source.columns, source=source), self.missing, path)
        header = source.header
        figures: dict[str, Any] = {
            "points": len(cloud),
            "encoding": header.encoding,
            "width": header.width,
            "height": header.height,
            "fields": [
                f"{field.name} {field.dtype.name}{f' x {field.count}' * (field.count > 1)}" for field in header.fields
            ],
            "viewpoint": header.viewpoint,
        }
        return cloud.note(self.type_name, figures, *warnings, *missing)

    @classmethod
    def summary(cls, figures: Mapping[str, Any], unit: str) -> list[tuple[str, str]]:
        """What was found in the file."""
        grid = f", a grid of {figures['width']} x {figures['height']}" if figures["height"] > 1 else ""
        return [
            ("PCD", f"{figures['encoding']}{grid}"),
            ("fields", ", ".join(figures["fields"])),
            ("viewpoint", figures["viewpoint"]),
        ]
