"""Several E57 files become one: all scans and images, and what else is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from deburr.formats.e57.tree import Node

if TYPE_CHECKING:
    from deburr.formats.e57.file import E57Source

#: What is put together child by child.
_LISTS = ("data3D", "images2D")
#: What is said of a file itself, and of no use in another.
_OF_A_FILE = ("formatName", "guid", "versionMajor", "versionMinor", "e57LibraryVersion", "creationDateTime")


def joined(sources: Sequence[E57Source]) -> tuple[E57Source, list[int], list[str]] | None:
    """One source of the scans of all ``sources``, one after another, how far on the rows of each now lie, and warnings;
    None where one prefix stands for different extensions in them."""
    attributes: dict[str, str] = {}
    for one in sources:
        for key, value in one.root.attributes.items():
            if attributes.setdefault(key, value) != value:
                return None
    first = sources[0]
    children, lost = _together([one.root for one in sources])
    warnings = [f"of {', '.join(lost)}, E57 files have one, which is that of the first file"] if lost else []
    if other := _other_limits(sources):
        warnings.append(
            f"the limits of {', '.join(other)} are not the same in all files; each file's values are spread over 16 "
            "bits by its own, and cannot be compared"
        )
    found = replace(
        first,
        root=Node(first.root.name, attributes, children, first.root.text),
        scans=tuple(scan for one in sources for scan in one.scans),
        tables={key: table for one in sources for key, table in one.tables.items()},
        blobs={key: origin for one in sources for key, origin in one.blobs.items()},
    )
    ends = np.cumsum([0, *(sum(map(len, one.scans)) for one in sources)])
    return found, ends[:-1].tolist(), warnings


def _together(roots: Sequence[Node]) -> tuple[list[Node], list[str]]:
    """What stands in the trees, and the names of what only the first has room for. Nodes keep who they are: by that
    their tables and images are found."""
    found: dict[str, Node] = {}
    lost = []
    for child in (child for root in roots for child in root.children):
        there = found.get(child.name)
        if child.name in _LISTS:
            there = found.setdefault(child.name, Node(child.name, child.attributes, text=child.text))
            there.children += child.children
        elif there is None or not (there.text.strip() or there.children):
            found[child.name] = child
        elif child.name not in _OF_A_FILE and _content(child) not in ([], _content(there)):
            lost.append(child.name)
    return list(found.values()), list(dict.fromkeys(lost))


def _content(node: Node) -> list[tuple[str, dict[str, str], str]]:
    """What is told below a node, in a form that can be compared; nothing if it is empty."""
    told = [(one.name, one.attributes, one.text.strip()) for one in node.walk()]
    return told if len(told) > 1 or told[0][2] else []


def _other_limits(sources: Sequence[E57Source]) -> list[str]:
    """The fields whose values are spread by other limits in one file than in another."""
    limits: dict[str, set[tuple[float, float]]] = {}
    for scan in (scan for one in sources for scan in one.scans):
        for name, ends in scan.limits.items():
            limits.setdefault(name, set()).add(ends)
    return sorted(name for name, some in limits.items() if len(some) > 1)
