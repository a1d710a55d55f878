"""What other packages bring: entry points, each loaded when it is asked for. What is wrong with one is said, and does
no harm to what has nothing to do with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from operator import attrgetter
from typing import Any, Generic, TypeVar

from deburr.core.errors import SpecError
from deburr.core.text import printable

T = TypeVar("T")


@dataclass(frozen=True)
class Point:
    """An entry point: its name, ``module:what`` it stands for, and the package that registered it."""

    name: str
    value: str
    package: str

    def load(self) -> Any:
        """What it stands for. Raises whatever its module does."""
        # What extras it wants stands in brackets behind it.
        module, _, what = self.value.partition("[")[0].strip().partition(":")
        found = import_module(module.strip())
        return attrgetter(what.strip())(found) if what else found


def points(group: str) -> Iterator[Point]:
    """The entry points of all packages that are installed in folders of Python's path.

    As importlib.metadata finds them, of which the import alone takes longer than to print help.
    """
    seen = set()
    for folder, name in _installed():
        package = name.removesuffix(".dist-info").removesuffix(".egg-info").partition("-")[0]
        if (key := package.lower().replace("-", "_").replace(".", "_")) in seen:
            continue  # Python takes the first as well
        seen.add(key)
        try:
            with open(os.path.join(folder, name, "entry_points.txt"), encoding="utf-8") as file:
                text = file.read()
        except (OSError, ValueError):
            continue
        if f"[{group}]" in text:
            yield from (Point(name, value, package) for name, value in _of_group(text, group))


def _installed() -> Iterator[tuple[str, str]]:
    """The folders on the path, and the names of the folders in them that tell of packages."""
    for folder in dict.fromkeys(sys.path):
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        yield from ((folder, name) for name in names if name.endswith((".dist-info", ".egg-info")))


def _of_group(text: str, group: str) -> Iterator[tuple[str, str]]:
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, value = (part.strip() for part in line.split("=", 1))
            if name and value:
                yield name, value


class Entries(Generic[T]):
    """The entry points of a group by their names.

    what : one of them, in a word.
    own : the names of deburr's own, which no other package may take.
    fault : what is wrong with something that was loaded, as it goes on behind its name; None: nothing.
    """

    def __init__(
        self,
        group: str,
        what: str,
        own: Callable[[], Collection[str]] = tuple,
        fault: Callable[[Point, Any], str | None] = lambda point, found: None,
    ) -> None:
        self._group, self._what, self._own, self._fault = group, what, own, fault
        self._loaded: dict[str, T | SpecError] = {}

    @cached_property
    def _all(self) -> dict[str, list[Point]]:
        found: dict[str, list[Point]] = {}
        for point in points(self._group):
            found.setdefault(point.name, []).append(point)
        return {name: found[name] for name in sorted(found)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All names but those of deburr's own, in alphabetical order, whether or not they can be loaded."""
        return tuple(name for name in self._all if name not in self._own())

    @cached_property
    def foreign(self) -> bool:
        """Whether another package has registered any."""
        return any(point.package != "deburr" for points in self._all.values() for point in points)

    def get(self, name: str) -> T:
        """What stands behind one of the `names`. Raises `SpecError` where that cannot be used."""
        if name not in self._loaded:
            try:
                self._loaded[name] = self._load(self._all[name])
            except SpecError as error:
                self._loaded[name] = error
        found = self._loaded[name]
        if isinstance(found, SpecError):
            raise SpecError(found.errors)
        return found

    def sound(self) -> dict[str, T]:
        """All that can be used, by name."""
        found = {}
        for name in self.names:
            try:
                found[name] = self.get(name)
            except SpecError:
                continue
        return found

    def broken(self) -> list[str]:
        """What cannot be used, one sentence each. Loads all that other packages bring, if there is any."""
        said: list[str] = []
        for name, there in self._all.items() if self.foreign else ():
            if name in self.names:
                try:
                    self.get(name)
                except SpecError as error:
                    said += error.errors
            else:
                said += [f"{self._of(point)} is not used: deburr has one of that name itself" for point in there]
        return said

    def _of(self, point: Point) -> str:
        return f"{self._what} '{point.name}' of package {point.package}"

    def _load(self, there: list[Point]) -> T:
        point = there[0]
        if len(there) > 1:
            packages = " and ".join(sorted(f"package {one.package}" for one in there))
            raise SpecError(
                f"{self._what} '{point.name}' is brought by {packages}: which is meant? Uninstall all but one"
            )
        try:
            found: T = point.load()
        except Exception as error:
            raise SpecError(
                f"{self._of(point)} cannot be loaded ({type(error).__name__}: {printable(error, 200)}); repair the "
                "package, or uninstall it"
            ) from error
        if (fault := self._fault(point, found)) is not None:
            raise SpecError(f"{self._of(point)} {fault}")
        return found
