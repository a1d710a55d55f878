"""Well-known text of coordinate reference systems: parsed once, within limits, and what it says of units.

The text comes from files of others. It is read up to `MOST_LETTERS` and `MOST_LEVELS`, which no system in use comes
near; its numbers are finite or there is none. What goes beyond is no system of coordinates, and never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite

MOST_LETTERS, MOST_LEVELS, MOST_NODES = 100_000, 32, 5000

_TOKEN = re.compile(r'"(?:[^"]|"")*"|[\[\](),]|[^\s\[\](),"]+')
_METRES = {"metre": 1.0, "foot": 0.3048, "US survey foot": 1200 / 3937}
#: Other words for these, in small letters.
_SPELT = {
    **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), "metre"),
    **dict.fromkeys(("ft", "foot", "feet", "international foot", "foot (international)"), "foot"),
    **dict.fromkeys(("us ft", "us-ft", "ftus", "us foot", "us survey foot", "us survey feet", "foot us"),
                    "US survey foot"),
}  # fmt: skip
#: What a unit may be called: its name goes into sentences, heads of tables and pictures.
_WORD = re.compile(r"[^\W_][\w .'()-]{0,29}")


@dataclass
class Node:
    """``NAME[values, ..., inner nodes, ...]``; the values as they stand, quotes aside."""

    name: str
    values: list[str] = field(default_factory=list)
    inner: list[Node] = field(default_factory=list)

    def all(self, *names: str) -> Iterator[Node]:
        """All nodes of these names, at any depth, from the front."""
        for node in self.inner:
            if node.name in names:
                yield node
            yield from node.all(*names)

    def child(self, *names: str) -> Node | None:
        return next((node for node in self.inner if node.name in names), None)

    def number(self, place: int = 1) -> float | None:
        """The value at ``place`` as a finite number; None if it is none."""
        try:
            value = float(self.values[place])
        except (ValueError, IndexError):
            return None
        return value if isfinite(value) else None


@dataclass(frozen=True)
class Unit:
    """A unit of length, or of an angle (``degree``): its name, and how many metres it has if that is known."""

    name: str
    metres: float | None = None

    @property
    def angle(self) -> bool:
        return self.name == "degree"


@dataclass(frozen=True)
class Units:
    """The units of x and y, and of z; each None if it is not told."""

    plan: Unit | None = None
    height: Unit | None = None

    def or_else(self, other: Units) -> Units:
        """What the ``other`` tells where these say nothing."""
        return Units(self.plan or other.plan, self.height or other.height)


DEGREE = Unit("degree")
METRE = Unit("metre", 1.0)


def length(name: str, metres: float | None = None) -> Unit | None:
    """A unit of length by its factor, else by its name; None for what is neither. A name that cannot be shown is
    replaced by the factor."""
    known = next((word for word, value in _METRES.items() if metres and abs(metres / value - 1) < 1e-7), None)
    spelt = " ".join(name.replace("_", " ").split())
    if known is None and metres is None:
        known = _SPELT.get(spelt.lower().replace("u.s.", "us"))
    if known is not None:
        return Unit(known, _METRES[known])
    if metres is not None and not metres > 0:
        return None
    if _WORD.fullmatch(spelt):
        return Unit(spelt, metres)
    return None if metres is None else Unit(f"{metres:.9g} m", metres)


def parse(text: str) -> Node | None:
    """A node without a name that holds the nodes of ``text``; None for what is longer, deeper or not well formed."""
    root = Node("")
    path, nodes = [root], 0
    if len(text) > MOST_LETTERS:
        return None
    for token in _TOKEN.findall(text):
        if token in ("[", "("):
            nodes += 1
            if not path[-1].values or len(path) > MOST_LEVELS or nodes > MOST_NODES:
                return None
            path[-1].inner.append(Node(path[-1].values.pop().upper()))
            path.append(path[-1].inner[-1])
        elif token in ("]", ")"):
            path.pop()
            if not path:
                return None
        elif token != ",":
            path[-1].values.append(token[1:-1].replace('""', '"') if token[0] == '"' else token)
    return root if len(path) == 1 and root.inner else None


_PROJECTED = ("PROJCS", "PROJCRS", "PROJECTEDCRS")
_GEOGRAPHIC = ("GEOGCS", "GEOGCRS", "GEOGRAPHICCRS")
_GEODETIC = ("GEODCRS", "GEODETICCRS")
_OTHERS = ("GEOCCS", "ENGCRS", "ENGINEERINGCRS", "LOCAL_CS")
_VERTICAL = ("VERT_CS", "VERTCRS", "VERTICALCRS")
_LENGTHS = ("UNIT", "LENGTHUNIT")


def main(root: Node) -> Node | None:
    """The horizontal or three-dimensional system in a text: the first of a compound one, the source of a bound one."""
    return next(root.all(*_PROJECTED, *_GEOGRAPHIC, *_GEODETIC, *_OTHERS), None)


def geocentric(system: Node) -> bool:
    """Whether x, y and z are lengths from the Earth's centre."""
    return system.name == "GEOCCS" or (system.name in _GEODETIC and _cartesian(system))


def _cartesian(system: Node) -> bool:
    axes = system.child("CS")
    return axes is not None and axes.values[:1] != [] and axes.values[0].lower() == "cartesian"


def units(text: str | None) -> Units:
    """The units that a WKT tells."""
    root = parse(text or "")
    system = main(root) if root is not None else None
    if root is None or system is None:
        return Units()
    vertical = next(root.all(*_VERTICAL), None)
    height = _unit(vertical) if vertical is not None else None
    if system.name in _GEOGRAPHIC or (system.name in _GEODETIC and not _cartesian(system)):
        # Ellipsoidal heights have an axis of their own.
        return Units(DEGREE, height or _axis_unit(system, 2))
    plan = _unit(system) or (METRE if geocentric(system) else None)
    return Units(plan, plan if geocentric(system) else height or _axis_unit(system, 2))


def _unit(system: Node) -> Unit | None:
    """The unit of a system of lengths: its own, or that of its first axis."""
    return _of(system.child(*_LENGTHS)) or _axis_unit(system, 0)


def _axis_unit(system: Node, place: int) -> Unit | None:
    axes = [node for node in system.inner if node.name == "AXIS"]
    return _of(axes[place].child(*_LENGTHS)) if len(axes) > place else None


def _of(unit: Node | None) -> Unit | None:
    return length(unit.values[0], unit.number()) if unit is not None and unit.values else None


def apart(told: Units) -> str:
    """What must be said where heights have another unit of length than x and y, in a clause; empty where they agree."""
    plan, height = told.plan, told.height
    if plan is None or height is None or plan.angle or plan.name == height.name:
        return ""
    remedy = "convert the heights first"
    if plan.metres and height.metres:
        remedy = f"multiply the heights by {height.metres / plan.metres:.9g} first"
    return (
        f"x and y are in {plan.name}, and heights in {height.name}: distances between points are no lengths, and "
        f"what is made of them means little; {remedy}"
    )
