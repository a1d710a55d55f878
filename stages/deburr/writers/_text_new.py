"""A text of a cloud that was read from elsewhere: which columns it has, in which order, with how many decimals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.cloud import Extent, PointCloud
from deburr.core.errors import WriteError
from deburr.core.progress import advance
from deburr.formats.text.numbers import MOST_DECIMALS
from deburr.writers._text_spelling import Words, columns_of, rounding, spelt, woven

Array = npt.NDArray[Any]
#: Name, values and decimals.
Column = tuple[str, Array, int | None]
#: Rows encoded at a time; bounds the memory a copy takes.
CHUNK = 1 << 16
_XYZ = ("X", "Y", "Z")
_COLOUR = ("Red", "Green", "Blue")


@dataclass(frozen=True)
class Style:
    """How a text looks. ``order``: as the option says it; ``others``: whether columns that are not in it follow."""

    kind: str
    order: str | None = None
    others: bool = True
    precision: int | None = None
    delimiter: str = ","
    newline: str = "\n"
    header: bool = True
    quoted: bool = True


def ordered(order: str) -> dict[str, int | None]:
    """Names of dimensions and their decimals, as option ``order`` tells them. Raises ValueError."""
    found: dict[str, int | None] = {}
    for part in order.split(","):
        name, colon, decimals = (word.strip() for word in part.partition(":"))
        if not name or name in found or (colon and not (len(decimals) <= 2 and decimals.isdecimal())):
            raise ValueError(part.strip())
        found[name] = min(int(decimals), MOST_DECIMALS) if colon else None
    return found


def decimals_for(extent: Extent) -> list[int]:
    """Decimals by axis that tell a hundred-millionth of a cloud's size, no finer than float64 does."""
    low, high = extent.low, extent.high
    if not np.isfinite(low + high).all():
        return [6, 6, 6]
    size = float((high - low).max())
    fine = 8 - int(np.floor(np.log10(size))) if size > 0 else 6
    reach = np.maximum(np.abs(low), np.abs(high)).tolist()
    return [min(max(fine, 0), 15 - int(np.floor(np.log10(one))) if one > 0 else 15, MOST_DECIMALS) for one in reach]


class New:
    """The text in some `Style` of a cloud of this ``extent``. Once `blocks` has been walked over, ``warnings`` say what
    was left out, and ``rounding`` is the furthest that a coordinate was moved by its decimals."""

    def __init__(self, extent: Extent, style: Style, path: str) -> None:
        self.count, self.style, self.path = extent.count, style, path
        self._told: dict[str, None] = {}
        self.rounding = 0.0
        self._done = -1
        self.decimals = decimals_for(extent) if style.precision is None else [style.precision] * 3

    @property
    def warnings(self) -> list[str]:
        return list(self._told)

    def _warn(self, text: str) -> None:
        self._told[f"{self.path}: {text}"] = None

    def _columns(self, cloud: PointCloud) -> list[Column]:
        """The columns for the points of ``cloud``. Raises `WriteError` for what has no place in a text."""
        there: dict[str, tuple[Array, int | None]] = {}
        # A pixel of PTX without return lies at its scanner.
        xyz = np.where(cloud.located[:, None], cloud.xyz, 0.0) if self.style.kind == "ptx" else cloud.xyz
        for axis, name in enumerate(_XYZ):
            there[name] = xyz[:, axis], max(self.decimals[axis], 0)
        for dim, column in cloud.dims.items():
            for name, values in columns_of(dim, column, self.path):
                there[name] = values, self.style.precision if values.dtype.kind == "f" else None
        wanted = self._wanted(there)
        left = [name for name in there if name not in wanted]
        if left:
            self._warn(f"{self._without()} no place for {', '.join(left)}, left out")
        found = [(name, there[name][0], there[name][1] if told is None else told) for name, told in wanted.items()]
        return [self._fixed(*one) for one in found] if self.style.kind in ("pts", "ptx") else found

    def _fixed(self, name: str, values: Array, decimals: int | None) -> Column:
        """A column in the range that PTS and PTX have for it."""
        if name in _COLOUR and values.dtype.itemsize > 1 and values.max(initial=0) > 255:
            self._warn(f"{name} is written as a byte, its upper eight bits")
            return name, np.asarray(values, np.int64) >> 8, None
        if self.style.kind == "ptx" and name == "Intensity" and values.dtype.kind in "iu":
            most = np.iinfo(values.dtype).max
            self._warn(f"Intensity is written from 0 to 1, as PTX has it: divided by {most}")
            return name, values / most, 6
        return name, values, decimals

    def _without(self) -> str:
        if self.style.order is not None:
            return "option 'order' has"
        return {"pts": "PTS has", "ptx": "PTX has"}.get(self.style.kind, "a text without names of columns has")

    def _wanted(self, there: dict[str, Any]) -> dict[str, int | None]:
        if self.style.order is not None:
            wanted = ordered(self.style.order)
            for name in wanted:
                if name not in there:
                    raise WriteError(
                        f"{self.path}: there is no dimension '{name}', which option 'order' names; there "
                        f"are {', '.join(there)}"
                    )
        else:
            wanted = dict.fromkeys(_XYZ)
            if self.style.kind in ("pts", "ptx"):
                wanted |= dict.fromkeys(name for name in ("Intensity", *_COLOUR) if name in there)
                if not {*_COLOUR} <= there.keys():
                    wanted = {name: told for name, told in wanted.items() if name not in _COLOUR}
        return wanted | dict.fromkeys(name for name in there if self.style.others and name not in wanted)

    def blocks(self, parts: Iterable[PointCloud]) -> Iterator[bytes]:
        """The whole file, piece by piece; ``parts`` hold the points, one after another, in the same columns."""
        for part in parts:
            yield from self._part(part)
            del part  # gone before the next is made

    def _part(self, part: PointCloud) -> Iterator[bytes]:
        end, mark = self.style.newline.encode(), self.style.delimiter.encode()
        columns = self._columns(part)
        if self._done < 0:
            self._done = 0
            yield self._head([name for name, _, _ in columns])
        for start in range(0, len(part), CHUNK):
            n = min(CHUNK, len(part) - start)
            words = [self._words(name, values[start : start + n], decimals) for name, values, decimals in columns]
            between = [one for word in words for one in (mark, word)]
            yield woven([*between[1:], end], n)
            self._done += n
            advance("write points", self._done, self.count)

    def _head(self, names: list[str]) -> bytes:
        style, n = self.style, str(self.count)
        if style.kind == "pts":
            lines = [n]
        elif style.kind == "ptx":
            lines = [n, "1", "0 0 0", "1 0 0", "0 1 0", "0 0 1", "1 0 0 0", "0 1 0 0", "0 0 1 0", "0 0 0 1"]
        else:
            lines = [style.delimiter.join(f'"{n}"' if style.quoted else n for n in names)] if style.header else []
        return "".join(line + style.newline for line in lines).encode("utf-8", "replace")

    def _words(self, name: str, values: Array, decimals: int | None) -> Words:
        if name in _XYZ and decimals is not None:
            self.rounding = max(self.rounding, rounding(values, decimals))
        return spelt(values, decimals)
