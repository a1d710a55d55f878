"""Work that mostly waits, for servers above all: some of it side by side, told and answered in its order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

from deburr.core.progress import listening

Item = TypeVar("Item")
Result = TypeVar("Result")

#: What is waited for at a time: servers take that many from one address without complaint.
SIDE_BY_SIDE = 8
#: Seconds after which who waits looks whether there is an interrupt: some systems wake nobody for one.
_LOOK = 0.2


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item], most: int = SIDE_BY_SIDE) -> Iterator[Result]:
    """``work`` of each of the ``items``, ``most`` at a time, in their order; what one raises is raised in its place.

    Once that, an interrupt, or who takes the results ends it, no further one is begun. Those that wait at a server
    are left to themselves and hold up nobody, so they must own what they write to. Their progress is told to nobody.
    """
    waiting = deque(enumerate(items))
    done: SimpleQueue[tuple[int, Result | None, BaseException | None]] = SimpleQueue()

    def take() -> None:
        with listening(lambda *_: None):
            while waiting:
                try:
                    place, item = waiting.popleft()
                except IndexError:  # another thread took the last
                    return
                try:
                    done.put((place, work(item), None))
                except BaseException as error:  # it is whoever waits for it that is to know
                    done.put((place, None, error))

    early: dict[int, tuple[Result | None, BaseException | None]] = {}
    try:
        for _ in range(min(most, len(items))):
            # Not those of a pool, which the end of the process waits for.
            Thread(target=copy_context().run, args=(take,), name="waits", daemon=True).start()
        for place in range(len(items)):
            while place not in early:
                try:
                    number, result, error = done.get(timeout=_LOOK)
                except Empty:
                    continue
                early[number] = result, error
            found, wrong = early.pop(place)
            if wrong is not None:
                raise wrong
            yield found  # type: ignore[misc]  # there is one where nothing went wrong
    finally:
        waiting.clear()
