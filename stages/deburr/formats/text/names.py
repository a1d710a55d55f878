"""What columns of text are called: the names that programs write, the dimensions of PDAL that they are, and their
types."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Floats

#: Names as programs write them, in lower case without blanks and marks, and the dimensions that they are.
_NAMES = {
    **dict.fromkeys(("x", "easting", "east"), "X"),
    **dict.fromkeys(("y", "northing", "north"), "Y"),
    **dict.fromkeys(("z", "elevation", "elev", "height", "altitude"), "Z"),
    **dict.fromkeys(("intensity", "i", "reflectanceintensity"), "Intensity"),
    **dict.fromkeys(("red", "r", "rf", "diffusered"), "Red"),
    **dict.fromkeys(("green", "g", "gf", "diffusegreen"), "Green"),
    **dict.fromkeys(("blue", "b", "bf", "diffuseblue"), "Blue"),
    **dict.fromkeys(("alpha", "a"), "Alpha"),
    **dict.fromkeys(("infrared", "nir", "nearinfrared"), "Infrared"),
    **dict.fromkeys(("classification", "class", "cls"), "Classification"),
    **dict.fromkeys(("nx", "normalx"), "NormalX"),
    **dict.fromkeys(("ny", "normaly"), "NormalY"),
    **dict.fromkeys(("nz", "normalz"), "NormalZ"),
    **dict.fromkeys(("gpstime", "time", "timestamp"), "GpsTime"),
    **dict.fromkeys(("returnnumber", "returnno", "returnid"), "ReturnNumber"),
    **dict.fromkeys(("numberofreturns", "numreturns", "returncount"), "NumberOfReturns"),
    **dict.fromkeys(("pointsourceid", "pointsource", "sourceid", "scanid"), "PointSourceId"),
    **dict.fromkeys(("scananglerank", "scanangle"), "ScanAngleRank"),
    **dict.fromkeys(("userdata",), "UserData"),
    **dict.fromkeys(("scandirectionflag", "scandirection"), "ScanDirectionFlag"),
    **dict.fromkeys(("edgeofflightline",), "EdgeOfFlightLine"),
    **dict.fromkeys(("scanchannel", "scannerchannel"), "ScanChannel"),
    **{name.lower(): name for name in (
        "Withheld", "Synthetic", "KeyPoint", "Overlap", "Amplitude", "Reflectance", "Deviation", "PulseWidth",
        "ClassFlags", "OriginalX", "OriginalY", "OriginalZ", "Displacement", "Uncertainty", "NoiseLevel", "Energy",
        "HeightAboveGround", "Curvature",
    )},
}  # fmt: skip
#: The types that PDAL has for whole numbers; colours are taken for bytes where they are.
_TYPES = {
    **dict.fromkeys(("Intensity", "Infrared", "PointSourceId"), ("u2",)),
    **dict.fromkeys(("Red", "Green", "Blue", "Alpha"), ("u1", "u2")),
    **dict.fromkeys(("Classification", "UserData", "ReturnNumber", "NumberOfReturns", "ScanChannel"), ("u1",)),
    **dict.fromkeys(("Withheld", "Synthetic", "KeyPoint", "Overlap", "ScanDirectionFlag"), ("u1",)),
    **dict.fromkeys(("EdgeOfFlightLine", "ClassFlags"), ("u1",)),
}


def dimension(name: str) -> str:
    """The dimension that a column of this name is; of a name that nobody knows, the name."""
    plain = _without_unit(name).removeprefix("scalar_").removeprefix("Scalar_")
    return _NAMES.get(re.sub(r"[\s_.\-]", "", plain).lower()) or name


def _without_unit(name: str) -> str:
    """``name`` without a last word in brackets, such as (m) or [GHz]."""
    text = name.rstrip()
    if not text.endswith((")", "]")):
        return name
    before = max(text.rfind(")", 0, -1), text.rfind("]", 0, -1)) + 1
    opened = [at for at in (text.find("(", before), text.find("[", before)) if at >= 0]
    return text[: min(opened)].rstrip() if opened else name


def dimensions(names: Sequence[str]) -> tuple[str, ...]:
    """The dimensions of all columns: the first of several that would be the same has it, others keep their names."""
    found: list[str] = []
    for place, name in enumerate(names):
        wanted = dimension(name) or f"column{place + 1}"
        while wanted in found:
            wanted = name if name and name not in found else f"{wanted}_{place + 1}"
        found.append(wanted)
    return tuple(found)


def typed(name: str, values: Floats) -> npt.NDArray[Any]:
    """``values`` (N,) in the type that PDAL has for dimension ``name``, where that holds them all; else as they are."""
    for kind in _TYPES.get(name, ()):
        most = float(np.iinfo(kind).max)
        if len(values) == 0 or (values.min() >= 0 and values.max() <= most and (values == np.floor(values)).all()):
            return values.astype(kind)
    return values


def guessed(width: int, rows: Callable[[], Floats]) -> tuple[str, ...]:
    """Names for the columns of a table without names; ``rows`` gives the first, (n, width), n and width at least 1 and
    3."""
    if width == 4:
        return ("X", "Y", "Z", "Intensity")
    if width in (3, 5, 8):
        return _numbered(width)
    sample = rows()
    if width == 6:
        return ("X", "Y", "Z", *(_NORMAL if not _colours(sample[:, 3:6]) and _units(sample[:, 3:6]) else _COLOUR))
    if width == 7:
        behind = _colours(sample[:, 4:7]) or not _colours(sample[:, 3:6])
        return ("X", "Y", "Z", *(("Intensity", *_COLOUR) if behind else (*_COLOUR, "Intensity")))
    if width >= 9 and _colours(sample[:, 3:6]) and _units(sample[:, 6:9]):
        return ("X", "Y", "Z", *_COLOUR, *_NORMAL, *(f"column{i}" for i in range(10, width + 1)))
    return _numbered(width)


def _numbered(width: int) -> tuple[str, ...]:
    return ("X", "Y", "Z", *(f"column{i}" for i in range(4, width + 1)))


_COLOUR = ("Red", "Green", "Blue")
_NORMAL = ("NormalX", "NormalY", "NormalZ")


def _colours(values: Floats) -> bool:
    return bool(((values >= 0) & (values <= 255) & (values == np.floor(values))).all())


def _units(values: Floats) -> bool:
    """Whether rows are vectors of about length 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((np.abs((values**2).sum(1) - 1) < 0.01).all())
