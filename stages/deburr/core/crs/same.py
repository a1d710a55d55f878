"""Whether two coordinate reference systems are the same, as far as their texts tell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from deburr.core.crs import wkt

_COMPOUND = ("COMPD_CS", "COMPOUNDCRS")


def agree(a: str, b: str) -> bool:
    """Whether two systems are the same, as far as their codes and names tell."""
    one, other = _parts(a), _parts(b)
    return (one[0].code is not None and one[0].code == other[0].code) or all(map(_same, one[1:], other[1:]))


def one_system(told: Iterable[str]) -> bool:
    """Whether these are the same system told in several ways."""
    first, *others = dict.fromkeys(told) or [""]
    return all(agree(other, first) for other in others)


@dataclass(frozen=True)
class _System:
    """An EPSG code and a name, each None if it is not told."""

    code: str | None = None
    name: str | None = None


def _parts(crs: str) -> tuple[_System, _System, _System]:
    """The system, its horizontal and its vertical part; a system that is not compound is its horizontal part."""
    code = re.fullmatch(r"\s*EPSG:([0-9]+)\s*", crs, re.IGNORECASE)
    if code:
        return _System(code.group(1)), _System(code.group(1)), _System()
    root = wkt.parse(crs)
    if root is None:
        unread = _System(None, " ".join(crs.split()))
        return unread, unread, _System()
    node = root.inner[0]
    parts = [part for part in node.inner if part.name not in ("AUTHORITY", "ID")] if node.name in _COMPOUND else []
    if len(parts) < 2:
        return _system(node), _system(node), _System()
    return _system(node), _system(parts[0]), _system(parts[1])


def _system(node: wkt.Node) -> _System:
    told = node.child("AUTHORITY", "ID")
    code = told.values[1] if told is not None and len(told.values) > 1 and told.values[0].upper() == "EPSG" else None
    name = re.sub(r"[\s_/()]+", " ", node.values[0] if node.values else "").strip().lower()
    # Of systems without a name nothing tells that they are the same but all that they say.
    return _System(code, repr(node) if name in ("", "unknown", "unnamed") else name)


def _same(a: _System, b: _System) -> bool:
    if a.code and b.code:
        return a.code == b.code
    # What one file leaves unsaid is no contradiction, as long as it says nothing at all.
    return a == b or _System() in (a, b) or (a.name is not None and a.name == b.name)
