"""readers.text: points as rows of text: XYZ, TXT, CSV, ASC, PTS and PTX files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from deburr.core.addresses import shown
from deburr.core.cloud import PointCloud, extent_of
from deburr.core.figure import Count, Reports, Same
from deburr.core.reading import whole
from deburr.core.stage import Reader, Stage
from deburr.formats.las.crs import given_crs, unfit_crs
from deburr.formats.text.file import Table, load
from deburr.formats.text.layout import COMMA, Asked
from deburr.readers._missing import DESCRIPTION, Fate, sorted_out

_KINDS = {"rows": "rows", "pts": "PTS (a count before the rows of each scan)", "ptx": "PTX (grids with their poses)"}
_SEPARATORS = {None: "blanks", ord("\t"): "tab", ord(","): "comma", ord(";"): "semicolon"}


class Text(Reader):
    """Read points from text: rows of numbers with or without names, PTS, and PTX with the pose of each scan.

    Separator, decimal mark and names of the columns are found; names become PDAL's dimensions (``r``: ``Red``, ``nx``:
    ``NormalX``). Of several scans in a file, PointSourceId is the scan, counted from 1. The points of a PTX scan come
    in world coordinates; its pixels without return are no points, and writers.text puts them back. Columns of words
    are no dimensions, but writers.text keeps them. Points without coordinates are treated as withheld ones."""

    type_name: ClassVar[str] = "readers.text"
    extensions: ClassVar[tuple[str, ...]] = ("xyz", "txt", "csv", "asc", "pts", "ptx")
    ambiguous: ClassVar[frozenset[str]] = frozenset({"txt", "csv", "asc"})
    reports: ClassVar[Reports] = {
        "kind": Same(description="which kind of text it is"),
        "columns": Same(description="their names"),
        "separator": Same(description="what stands between values"),
        "decimals": Same(description="digits behind the decimal mark of x, y, z"),
        "decimal_mark": Same(description="point or comma"),
        "crs": Same(description="the system of coordinates, if it was told"),
        "scans": Count(description="scans in the file"),
        "without_return": Count(description="pixels of PTX without return, which are no points"),
    }
    effort: ClassVar[float] = 2.0

    separator: str | None = Field(
        None, min_length=1, max_length=1, description="what stands between the values of a row; default: found"
    )
    header: str | None = Field(
        None, description='names of the columns, such as "X,Y,Z,Intensity"; then every row is a point. Default: found'
    )
    skip: int = Field(0, ge=0, description="number of lines to pass over at the beginning of the file")
    missing: Fate = Field("keep", description=DESCRIPTION)
    override_srs: str | None = Field(
        None,
        description="coordinate reference system, which text does not tell: EPSG:n, EPSG:n+m, WKT or a PROJ string",
    )
    default_srs: str | None = Field(None, description="the same")

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse what is no coordinate reference system, and a separator that could be part of a number."""
        errors = [*unfit_crs("override_srs", self.override_srs), *unfit_crs("default_srs", self.default_srs)]
        if self.separator is not None and (
            self.separator.isalnum() or self.separator in '+-."' or not self.separator.isascii()
        ):
            errors.append(
                f"option 'separator' is {self.separator!r}, which is part of numbers; give a mark between them"
            )
        return errors

    def read(self) -> PointCloud:
        """Read ``filename`` into float64 world coordinates. Raises `deburr.core.errors.ReadError`."""
        path = shown(self.filename)
        table = load(whole(self.filename), path, self.skip, Asked(self.separator, self.header))
        given = self.override_srs or self.default_srs
        crs = None if given is None else given_crs(given)
        cloud = PointCloud(table.xyz, table.dims, crs=crs, source=table.source)
        if len(table.source.missed):
            there = np.ones(len(cloud), np.bool_)
            there[table.source.missed] = False
            cloud = cloud.select(there)
            cloud = replace(cloud, extent=extent_of(cloud.xyz))
        warnings = [f"{path}: {text}" for text in _doubts(table)]
        cloud, missing = sorted_out(cloud, self.missing, path)
        return cloud.note(self.type_name, _figures(table, len(cloud)), *warnings, *missing)

    @classmethod
    def summary(cls, figures: Any, unit: str) -> list[tuple[str, str]]:
        """What was found in the text."""
        found = [("text", str(figures["kind"])), ("columns", ", ".join(figures["columns"]))]
        found.append(("separator", f"{figures['separator']}, decimal {figures['decimal_mark']}"))
        found.append(("decimals of x, y, z", ", ".join(map(str, figures["decimals"]))))
        if figures["scans"] > 1 or figures["without_return"]:
            found.append(("scans", f"{figures['scans']:,}, {figures['without_return']:,} pixels without return"))
        return found


def _doubts(table: Table) -> list[str]:
    layout = table.source.layout
    found = []
    if layout.guessed and table.source.kind == "rows":
        found.append(
            f"has no names of columns; they were taken for {', '.join(layout.dims)}; option 'header' tells better"
        )
    if layout.texts:
        words = ", ".join(f"'{layout.names[place][:40]}'" for place in sorted(layout.texts))
        found.append(f"the columns {words} hold words; no stage sees them, but a text of the same kind keeps them")
    return found


def _figures(table: Table, points: int) -> dict[str, Any]:
    source = table.source
    layout = source.layout
    return {
        "points": points,
        "kind": _KINDS[source.kind],
        "columns": list(layout.names),
        "separator": _SEPARATORS.get(layout.separator) or f"'{chr(layout.separator or 0x20)}'",
        "decimal_mark": "comma" if layout.mark == COMMA else "point",
        "decimals": [source.decimals[axis] for axis in layout.axes],
        "scans": len(source.scans),
        "without_return": len(table.source.missed),
    }
