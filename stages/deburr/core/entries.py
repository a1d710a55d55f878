"""What other packages bring: entry points, each loaded when it is asked for. What is wrong with one is said, and does
no harm to what has nothing to do with it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from deburr.core.errors import SpecError
from deburr.core.text import printable

T = TypeVar("T")


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
        fault: Callable[[EntryPoint, Any], str | None] = lambda point, found: None,
    ) -> None:
        self._group, self._what, self._own, self._fault = group, what, own, fault
        self._loaded: dict[str, T | SpecError] = {}

    @cached_property
    def _all(self) -> dict[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self._group):
            found.setdefault(point.name, []).append(point)
        return {name: found[name] for name in sorted(found)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All names but those of deburr's own, in alphabetical order, whether or not they can be loaded."""
        return tuple(name for name in self._all if name not in self._own())

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
        """What cannot be used, one sentence each. Loads all that there is."""
        said: list[str] = []
        for name, points in self._all.items():
            if name in self.names:
                try:
                    self.get(name)
                except SpecError as error:
                    said += error.errors
            else:
                said += [f"{self._of(point)} is not used: deburr has one of that name itself" for point in points]
        return said

    def _of(self, point: EntryPoint) -> str:
        return f"{self._what} '{point.name}' of {_package(point)}"

    def _load(self, points: list[EntryPoint]) -> T:
        point = points[0]
        if len(points) > 1:
            packages = " and ".join(sorted(map(_package, points)))
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


def _package(point: EntryPoint) -> str:
    return f"package {point.dist.name}" if point.dist is not None else f"'{point.value}'"
