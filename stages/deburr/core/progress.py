"""How long work tells that it moves: stages report, whoever runs them listens. Silent by default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Called with a label, the units done and the units there are (points, blocks, steps).
Listener = Callable[[str, int, int], None]

_listener: ContextVar[Listener | None] = ContextVar("deburr_progress", default=None)


def advance(label: str, done: int, total: int) -> None:
    """Tell the listener, if there is one, that ``done`` of ``total`` units of ``label`` are finished."""
    listener = _listener.get()
    if listener is not None:
        listener(label, done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send every `advance` made inside the block to ``listener``."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
