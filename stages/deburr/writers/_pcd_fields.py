"""Decides what becomes of a cloud's columns in a PCD file: fields, their types, and what must be said."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import WriteError
from deburr.formats.pcd.file import COLOURS
from deburr.formats.pcd.header import Array, Field, PcdSource

Pair = tuple[Field, Array]
_RGB = ("Red", "Green", "Blue")
#: What other programs call dimensions.
_NAMES = {
    **{"Intensity": "intensity", "Curvature": "curvature", "NormalX": "normal_x", "NormalY": "normal_y"},
    **{"NormalZ": "normal_z"},
}
#: Coordinates are written as float where that moves none by more than this share of the cloud's size.
_FINE = 1e-6


class Fields:
    """The fields of ``cloud`` and their values, ``pairs``: those of its PCD source, then the new ones; ``text``: of an
    ascii file. ``warnings`` tell what had to change, ``rounding`` the furthest that a coordinate was moved by its
    type, in the cloud's units."""

    def __init__(self, cloud: PointCloud, source: PcdSource | None, path: str, text: bool) -> None:
        self.cloud, self.source, self.path, self.text = cloud, source, path, text
        self.warnings: list[str] = []
        self.rounding = 0.0
        if source is None:
            self.pairs = [*self._places(), *self._colours()]
            known = set(_RGB) if len(self.pairs) > 3 else set()
        else:
            self.pairs = [(field, values) for n, field in enumerate(source.header.fields)
                          if (values := self._old(n, field, source)) is not None]  # fmt: skip
            self.pairs = [self._declared(*pair) for pair in self.pairs]
            known = set(source.dims)
        for name, column in cloud.dims.items():
            if name not in known:
                self.pairs.append(self._new(name, column))

    def _places(self) -> list[Pair]:
        xyz = self.cloud.xyz
        near = xyz.astype(np.float32)
        with np.errstate(invalid="ignore"):
            away = float(np.nanmax(np.abs(near - xyz), initial=0.0))
        low, high = self.cloud.extent.low, self.cloud.extent.high
        size = float((high - low).max()) if np.isfinite(low + high).all() else 0.0
        if away <= _FINE * size or away == 0:
            self.rounding = away
            return [(Field(name, np.dtype("<f4")), near[:, axis]) for axis, name in enumerate("xyz")]
        self.warnings.append(
            f"{self.path}: coordinates are written as double, because float would move them by up to {away:.2g}; "
            "programs built on PCL's own point types take float alone"
        )
        return [(Field(name, np.dtype("<f8")), xyz[:, axis]) for axis, name in enumerate("xyz")]

    def _colours(self) -> list[Pair]:
        dims = self.cloud.dims
        if not all(name in dims and dims[name].dtype.kind in "iu" and dims[name].ndim == 1 for name in _RGB):
            return []
        red, green, blue = (np.asarray(dims[name], np.int64) for name in _RGB)
        if max(int(one.max(initial=0)) for one in (red, green, blue)) > 255:
            self.warnings.append(f"{self.path}: Red, Green and Blue are written as bytes, their upper eight bits")
            red, green, blue = red >> 8, green >> 8, blue >> 8
        packed = ((red << 16) | (green << 8) | blue).astype("<u4")
        # As PCL has it: of text the number itself, in binary its bytes under the name of a float.
        return [
            (Field("rgb", packed.dtype), packed) if self.text else (Field("rgb", np.dtype("<f4")), packed.view("<f4"))
        ]

    def _old(self, number: int, field: Field, source: PcdSource) -> Array | None:
        """The values of a field of the source; None where a stage has dropped its dimension."""
        was = source.values[number][self.cloud.rows]
        if number in source.header.axes:
            axis = source.header.axes.index(number)
            told = self.cloud.original[:, axis]
            wide = source.text is not None and not np.array_equal(was, told, equal_nan=field.dtype.kind == "f")
            if wide and not self.text:  # more digits than its type holds
                return self.cloud.xyz[:, axis]
            return self._moved(was, field, self.cloud.xyz[:, axis])
        names = [name for name, one in source.dims.items() if one == number]
        if any(name not in self.cloud.dims for name in names):
            return None
        changed = [name for name in names if self.changed(name)]
        if not changed:
            return was
        if field.name.lower() in COLOURS and field.size == 4:
            bytes_ = was.copy().view(np.uint8).reshape(-1, 4)
            for name in changed:
                bytes_[:, names.index(name)] = self.cloud.dims[name]
            return bytes_.view(field.dtype).reshape(-1)
        return self.cloud.dims[names[0]]

    def changed(self, name: str) -> bool:
        """Whether a dimension of the source is not as it was read."""
        assert self.source is not None
        old, new = self.source.columns[name], self.cloud.dims[name]
        if old is new:
            return False
        old = old[self.cloud.rows]
        return not np.array_equal(old, new, equal_nan=old.dtype.kind == "f" and new.dtype.kind == "f")

    def _moved(self, was: Array, field: Field, column: Floats) -> Array:
        moved: Bools = self.cloud.moved
        if not moved.any():
            return was
        with np.errstate(over="ignore"):
            wanted = np.rint(column[moved]) if field.dtype.kind != "f" else column[moved]
            if field.dtype.kind != "f" and not _fits(wanted, field.dtype):
                raise WriteError(
                    f"{self.path}: coordinates do not fit field '{field.name}' of type {field.dtype.name}; write "
                    "LAS or PLY"
                )
            stored = wanted.astype(field.dtype)
        if not np.isfinite(stored.astype(np.float64)).all():
            raise WriteError(f"{self.path}: coordinates are too large for field '{field.name}'; write LAS or PLY")
        now = was.copy()
        now[moved] = stored
        self.rounding = max(self.rounding, float(np.abs(stored.astype(np.float64) - column[moved]).max(initial=0.0)))
        return now

    def _declared(self, field: Field, values: Array) -> Pair:
        """The values in the field's own type, or the field in one that holds them."""
        if values.dtype.newbyteorder("<") == field.dtype:
            return field, values
        with np.errstate(over="ignore", invalid="ignore"):
            fitted = values.astype(field.dtype)
        if np.array_equal(fitted, values, equal_nan=values.dtype.kind == "f"):
            return field, fitted
        new = self._new(field.name, values)[0]
        self.warnings.append(
            f"{self.path}: field '{field.name}' is written as {new.dtype.name}, for its values do not fit "
            f"{field.dtype.name}"
        )
        return Field(field.name, new.dtype, new.count), values.astype(new.dtype)

    def _new(self, dim: str, column: Array) -> Pair:
        if column.dtype.kind not in "biuf" or column.ndim > 2 or column.dtype.itemsize > 8 or 0 in column.shape[1:]:
            raise WriteError(
                f"{self.path}: dimension '{dim}' of type {column.dtype}, shape {column.shape}, does not fit into PCD; "
                "remove that dimension, or write LAS"
            )
        kind = {"b": "u1", "f2": "f4"}.get(column.dtype.kind if column.dtype.kind == "b" else column.dtype.str[1:])
        dtype = np.dtype(f"<{kind}") if kind else column.dtype.newbyteorder("<")
        name = _NAMES.get(dim, "_".join(dim.split()) or "unnamed")
        taken = {field.name for field, _ in self.pairs}
        while name in taken or name.lower() in ("x", "y", "z", "_", *COLOURS):
            name += "_"
        return Field(name, dtype, column.shape[1] if column.ndim == 2 else 1), column.astype(dtype)


def _fits(values: Floats, dtype: np.dtype[np.generic]) -> bool:
    limits = np.iinfo(dtype)  # type: ignore[type-var]
    return bool(len(values) == 0 or (values.min() >= limits.min and values.max() <= limits.max))
