"""A stand-in for PDAL's filters.python that breaks where the real one crashes, corrupts points or says nothing.

It runs a script's text in a module of its own, hands over fresh arrays, takes them away after the call, and checks
everything that the script gives back.
"""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

Columns = dict[str, npt.NDArray[Any]]


class HostError(Exception):
    """A rule of PDAL's was broken."""


class FakePdal:
    """One stage ``filters.python``: ``script`` is a path, or the text itself.

    pdalargs : what the stage's option of that name holds, JSON values.
    wkt : the coordinate reference system of the points.
    formats : point formats of the LAS files that are said to have been read.
    """

    def __init__(
        self,
        script: str | Path,
        function: str,
        *,
        pdalargs: Any = None,
        wkt: str = "",
        formats: tuple[int, ...] = (),
        module: str = "deburr_filter",
    ) -> None:
        text = script.read_text() if isinstance(script, Path) else script
        self._module = ModuleType(module)
        before = sys.modules.get(module)
        sys.modules[module] = self._module
        try:
            exec(compile(text, module, "exec"), self._module.__dict__)
        finally:
            del sys.modules[module]
            if before is not None:
                sys.modules[module] = before
        #: What the script told last for PDAL's metadata.
        self.metadata: Any = None
        self._function = getattr(self._module, function)
        readers = [
            {"name": "readers.las", "value": "", "children": [{"name": "dataformat_id", "value": str(number)}]}
            for number in formats
        ]
        self._given = {
            "pdalargs": pdalargs,
            "metadata": {"name": "root", "value": "", "children": [{"name": "filters.python", "value": ""}, *readers]},
            "schema": {"schema": {"dimensions": []}},
            "spatialreference": {"srs": {"wkt": wkt, "compoundwkt": wkt}},
        }
        _check_function(self._function)

    def run(self, columns: Mapping[str, npt.NDArray[Any]]) -> Columns:
        """The columns of one view after the function; fewer points where it gave a ``Mask``. Raises `HostError`."""
        ins, buffers = _fresh(columns)
        outs: Columns = {}
        vars(self._module).update(self._given)
        try:
            answer = self._function(ins, outs)
        finally:
            for name in self._given:
                del vars(self._module)[name]
        if answer is not True:
            raise HostError(f"the function must return True, not {answer!r}")
        _check(outs, columns)
        self.metadata = vars(self._module).get("out_metadata")
        if self.metadata is not None:
            _check_metadata(self.metadata)
        after = {name: np.array(outs.get(name, ins[name])) for name in columns}
        mask = outs["Mask"].copy() if "Mask" in outs else None
        ins.clear()
        outs.clear()
        _take_away(buffers)
        return after if mask is None else {name: column[mask] for name, column in after.items()}


def _check_function(function: Any) -> None:
    plain = isinstance(function, FunctionType)
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()] if plain else []
    if kinds != [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 2:
        raise HostError("the function must be a plain one with exactly two positional arguments")


def _fresh(columns: Mapping[str, npt.NDArray[Any]]) -> tuple[Columns, list[bytearray]]:
    """Copies of ``columns`` in memory that can be taken away."""
    ins, buffers = {}, []
    for name, column in columns.items():
        buffers.append(bytearray(np.ascontiguousarray(column).tobytes()))
        # Through a memoryview, which lasts as long as any view of the array: `bytearray.clear` then refuses.
        ins[name] = np.asarray(memoryview(buffers[-1])).view(column.dtype)
    return ins, buffers


def _take_away(buffers: list[bytearray]) -> None:
    gc.collect()
    for buffer in buffers:
        try:
            buffer.clear()
        except BufferError:
            raise HostError("something still refers to an input array after the call") from None


def _check(outs: Columns, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    length = len(columns["X"])
    if "Mask" in outs:
        if len(outs) > 1:
            raise HostError("Mask must be the only output")
        _check_array("Mask", outs["Mask"], np.dtype(np.bool_), length)
        return
    for name, array in outs.items():
        if name not in columns:
            raise HostError(f"there is no dimension {name}")
        _check_array(name, array, columns[name].dtype, length)


def _check_metadata(node: Any) -> None:
    """A name, a type (what PDAL guesses fails on common values), text; children the same in a list."""
    if not isinstance(node, dict) or not node.get("name") or not node.get("type"):
        raise HostError("out_metadata must be a dictionary with a name and a type")
    if not all(isinstance(node.get(key, ""), str) for key in ("name", "value", "type", "description")):
        raise HostError("out_metadata must hold text")
    for child in node.get("children", []):
        _check_metadata(child)


def _check_array(name: str, array: Any, kind: np.dtype[Any], length: int) -> None:
    if not isinstance(array, np.ndarray):
        raise HostError(f"{name} is no array")
    if array.dtype.newbyteorder("=") != kind.newbyteorder("="):
        raise HostError(f"{name} is of type {array.dtype}, its dimension of {kind}")
    if not array.dtype.isnative:
        raise HostError(f"{name} is not in the machine's byte order")
    if array.shape != (length,):
        raise HostError(f"{name} has the shape {array.shape} for {length} points")
    if not array.flags.c_contiguous:
        raise HostError(f"{name} is not contiguous")
