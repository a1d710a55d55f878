"""The options of writers.las that are lists of names: what they may say, and what they mean."""

from __future__ import annotations

from deburr.core.errors import did_you_mean
from deburr.formats.las.points import STANDARD_NAMES, fitting_name

#: What `forward` may name, and the header fields it means.
FIELDS = (
    "filesource_id",
    "global_encoding",
    "project_id",
    "system_id",
    "software_id",
    "creation_doy",
    "creation_year",
)
FORWARD: dict[str, frozenset[str]] = {
    **{name: frozenset({name}) for name in (*FIELDS, "minor_version", "dataformat_id", "vlr")},
    **{f"{part}_{axis}": frozenset({f"{part}_{axis}"}) for part in ("scale", "offset") for axis in "xyz"},
    "scale": frozenset(f"scale_{axis}" for axis in "xyz"),
    "offset": frozenset(f"offset_{axis}" for axis in "xyz"),
    "format": frozenset({"minor_version", "dataformat_id"}),
    "major_version": frozenset(),  # always 1
    "none": frozenset(),
}
# The generating software is this program: forwarded only where it is asked for by name.
FORWARD["header"] = frozenset({*FIELDS, "minor_version", "dataformat_id"} - {"software_id"})
FORWARD["all"] = FORWARD["header"] | FORWARD["scale"] | FORWARD["offset"] | {"vlr"}

#: PDAL's names of the types of extra bytes.
_PDAL_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float", "double")
_NUMPY_TYPES = ("u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8")
TYPE_NAMES = dict(zip(_PDAL_TYPES, _NUMPY_TYPES, strict=True))

#: Highest point format by minor version.
HIGHEST_FORMAT = (1, 1, 3, 5, 10, 10)


def split_names(text: str) -> list[str]:
    """The parts of a comma-separated option."""
    return [part.strip() for part in text.split(",") if part.strip()]


def unknown_forward(text: str) -> list[str]:
    """What is wrong with a `forward` option, one sentence each."""
    unknown = [name for name in split_names(text) if name not in FORWARD]
    return [f"option 'forward' names the unknown field '{n}'{did_you_mean(n, FORWARD)}" for n in unknown]


def parse_extra_dims(text: str) -> tuple[dict[str, str], list[str]]:
    """The types that an `extra_dims` list asks for by name ('all' and '' ask for none), and what is wrong with it."""
    wanted: dict[str, str] = {}
    errors = []
    for part in split_names(text) if text != "all" else []:
        name, _, kind = (piece.strip() for piece in part.partition("="))
        if kind.removesuffix("_t") not in TYPE_NAMES:
            errors.append(
                f"option 'extra_dims' must be 'all' or a list Name=type, not {part!r}; types: {', '.join(TYPE_NAMES)}"
            )
        elif name in STANDARD_NAMES or not name or fitting_name(name, ()) != name:
            errors.append(
                f"option 'extra_dims' names {name!r}, which is standard, empty, no UTF-8 or over 32 bytes; rename it"
            )
        else:
            wanted[name] = TYPE_NAMES[kind.removesuffix("_t")]
    return wanted, errors
