"""A text as it was read: its bytes, its scans, and where its rows stand."""

from __future__ import annotations

from dataclasses import dataclass

from deburr.core.arrays import Dims, Floats, Ints
from deburr.formats.text.layout import Layout
from deburr.formats.text.lines import Lines


@dataclass(frozen=True, eq=False)
class Scan:
    """One scan of a file: what stands before its first row, from byte ``begin`` to ``end``, and its rows, from
    ``first`` to before ``last``. ``counted``: where the number of rows stands; ``shape``: columns and rows of the grid
    of a PTX scan, ``pose`` (4, 4) its matrix, which moves row vectors into the world."""

    begin: int
    end: int
    first: int
    last: int
    counted: tuple[int, int] | None = None
    shape: tuple[int, int] | None = None
    pose: Floats | None = None


@dataclass(frozen=True, eq=False)
class TextSource:
    """``lines`` are the rows, of all scans. ``dims`` are the columns that became dimensions, of all rows as they were
    read; ``decimals``: digits behind the decimal mark, by column. ``scan_of`` (N,): the scan of each row, ``missed``:
    the rows that are pixels without return. ``given``: dimensions that the reader gave to the cloud, and no column
    has."""

    path: str
    kind: str
    lines: Lines
    layout: Layout
    scans: tuple[Scan, ...]
    dims: Dims
    decimals: tuple[int, ...]
    scan_of: Ints
    missed: Ints
    given: frozenset[str] = frozenset()

    def beside_points(self) -> str:
        """What there is beside points, as a list in words; '' if nothing."""
        texts = [f"the column '{self.layout.names[place]}', which holds words" for place in sorted(self.layout.texts)]
        grids = [f"the grids of {len(self.scans)} scans and their poses"] if self.kind == "ptx" else []
        return ", ".join([*grids, *texts])
