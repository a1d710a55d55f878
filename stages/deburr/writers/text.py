"""writers.text: points as rows of text: XYZ, TXT, CSV, ASC, PTS and PTX files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import PurePath
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from deburr.core.cloud import Extent, PointCloud, Record
from deburr.core.figure import Most, Reports, Same
from deburr.core.kept import Kept
from deburr.core.stage import Stage, Writer
from deburr.formats.text.numbers import MOST_DECIMALS
from deburr.formats.text.source import TextSource
from deburr.writers._ends import check_places, left_out, put
from deburr.writers._parts import checked, written_at_once
from deburr.writers._text_new import New, Style, ordered
from deburr.writers._text_rows import Rows

#: What is said of texts where nothing is asked for: of these, columns have no names and blanks between them.
_PLAIN = ("xyz", "asc", "pts", "ptx")


class Text(Writer):
    """Write points as text.

    What was read from a text of the same extension is written as it was: byte by byte, but for the points that moved,
    which get as many decimals as their column has. A PTX grid keeps its pixels: those of removed points have no
    return. A cloud from elsewhere becomes a table with names (.csv, .txt), X, Y and Z alone (.xyz, .asc), PTS, or PTX
    of one scan without a grid. Text has no place for a coordinate system."""

    type_name: ClassVar[str] = "writers.text"
    extensions: ClassVar[tuple[str, ...]] = ("xyz", "asc", "pts", "ptx", "txt", "csv")
    reports: ClassVar[Reports] = {
        "coordinate_rounding_max": Most(unit="length", description="how far a coordinate was rounded, at most"),
        "scale": Same(unit="exact", description="the smallest steps of the coordinates in the file, x, y, z"),
        "offset": Same(unit="exact", description="what steps are counted from, x, y, z"),
    }
    effort: ClassVar[float] = 2.0
    finer: ClassVar[str] = "precision"
    kept: ClassVar[Mapping[str, Kept]] = {
        "csv, txt": Kept(
            "the same bytes", "decimals as read; else a 10^-8 of the cloud's size", "comments, columns of words", "no"
        ),
        "xyz, asc": Kept(
            "the same bytes", "decimals as read; else a 10^-8 of the cloud's size", "comments", "no", attributes=False
        ),
        "pts": Kept("the same bytes", "as csv", "no", "as read, by PointSourceId", attributes=False),
        "ptx": Kept("the same bytes", "as csv, in each scan's own system", "poses, grids", "as read", attributes=False),
    }

    format: Literal["csv"] = Field("csv", description="of PDAL's formats; geojson is not written")
    order: str | None = Field(
        None,
        description='dimensions in the order of the columns, with decimals if need be: "X:3,Y:3,Z:3,Intensity"',
    )
    keep_unspecified: bool | None = Field(
        None, description="write dimensions that are not in 'order' behind them; default: in .csv and .txt alone"
    )
    precision: int | None = Field(
        None,
        ge=0,
        le=17,
        description="decimals; default: as they were read, else those that tell a 10^-8 of the cloud's size",
    )
    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="what stands between values; default: comma in .csv and .txt, else a blank",
    )
    newline: str | None = Field(None, description="what ends a row; default: a line feed")
    write_header: bool | None = Field(
        None, description="write the names of the columns; default: in .csv and .txt alone"
    )
    quote_header: bool | None = Field(None, description="quote the names of the columns; default: true")

    @property
    def _kind(self) -> str:
        return PurePath(self.filename).suffix.lower().removeprefix(".")

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse an order that makes no sense, marks that numbers hold, and options that PTS and PTX have no room
        for."""
        errors = []
        if self.order is not None:
            try:
                ordered(self.order)
            except ValueError as error:
                errors.append(
                    f"option 'order' has {str(error)!r}; give each dimension once, such as \"X:3,Y:3,Z:3,Intensity\""
                )
        if self.delimiter is not None and (self.delimiter.isalnum() or self.delimiter in '+-."\r\n'):
            errors.append(
                f"option 'delimiter' is {self.delimiter!r}, which is part of numbers; give a mark between them"
            )
        if self.newline is not None and (not self.newline.isspace() or not {"\n", "\r"} & set(self.newline)):
            errors.append('option \'newline\' ends no line; give "\\n" or "\\r\\n"')
        given = [name for name in ("order", "keep_unspecified", "delimiter", "write_header", "quote_header")
                 if getattr(self, name) is not None]  # fmt: skip
        if self._kind in ("pts", "ptx") and given:
            errors.append(
                f"option '{given[0]}' has no effect on .{self._kind}, whose columns are fixed; remove it, or write .csv"
            )
        return errors

    def write(self, cloud: PointCloud) -> PointCloud:
        """Write ``filename``. Raises `deburr.core.errors.WriteError` and leaves an existing file intact."""
        source = self._source(cloud)
        if source is None:
            record = self._new(iter([cloud]), replace(cloud.extent, count=len(cloud)))
            return replace(cloud, history=(*cloud.history, record))
        check_places(cloud, self.filename)
        text = Rows(cloud, source, self.filename)
        put(self.filename, text.blocks())
        axes = [source.decimals[axis] for axis in source.layout.axes]
        figures = self._figures(len(cloud), "text as it was read", [] if text.grid else axes, text.rounding)
        return cloud.note(self.type_name, figures, *text.warnings, *left_out(cloud, "text", TextSource, self.filename))

    def write_parts(self, parts: Iterable[PointCloud], extent: Extent) -> PointCloud:
        """Write the points of ``parts`` as one cloud.

        One after another, but for what comes from a text of the same kind, which is in memory as a whole anyway, and
        for PTS and PTX, whose range of colours depends on every point.
        """
        with checked(parts, extent, self.filename) as clouds:
            first = next(clouds)
            if self._kind in ("pts", "ptx") or self._source(first) is not None:
                return written_at_once(self, chain([first], clouds), extent)
            points = chain([first], clouds)
            del first  # gone before the next is made
            record = self._new(points, extent)
        return PointCloud(np.zeros((0, 3)), extent=extent, history=(record,))

    def _new(self, parts: Iterator[PointCloud], extent: Extent) -> Record:
        """Write a text of points from elsewhere."""
        text = New(extent, self._style(), self.filename)
        lost: dict[str, None] = {}

        def watched() -> Iterator[PointCloud]:
            for part in parts:
                check_places(part, self.filename)
                lost.update(dict.fromkeys(left_out(part, "this text", type(None), self.filename)))
                yield part
                del part

        put(self.filename, text.blocks(watched()))
        figures = self._figures(extent.count, "text", text.decimals, text.rounding)
        return Record(self.type_name, figures, (*text.warnings, *lost))

    def _figures(self, points: int, kind: str, decimals: list[int], rounding: float) -> dict[str, Any]:
        figures: dict[str, Any] = {"points": points, "format": kind}
        if decimals and max(decimals) <= MOST_DECIMALS:
            figures |= {"scale": [10.0**-one for one in decimals], "offset": [0.0, 0.0, 0.0]}
        return figures | ({"coordinate_rounding_max": rounding} if rounding else {})

    def _source(self, cloud: PointCloud) -> TextSource | None:
        """The text that is to be written again, if that is what is asked for and can be."""
        source = cloud.source
        asked = {
            name: getattr(self, name)
            for name in type(self).model_fields
            if name not in ("filename", "tag", "user_data")
        }
        if (
            not isinstance(source, TextSource)
            or cloud.reprojected
            or any(v not in (None, "csv") for v in asked.values())
        ):
            return None
        same = PurePath(source.path).suffix.lower() == PurePath(self.filename).suffix.lower()
        return source if same and source.dims.keys() <= cloud.dims.keys() else None

    def _style(self) -> Style:
        kind = self._kind
        plain = kind in _PLAIN
        header = (not plain or bool(self.quote_header)) if self.write_header is None else self.write_header
        others = (not plain or header) if self.keep_unspecified is None else self.keep_unspecified
        return Style(
            kind, self.order, others and kind not in ("pts", "ptx"), self.precision,
            self.delimiter or (" " if plain else ","), self.newline or "\n", header, self.quote_header is not False,
        )  # fmt: skip
