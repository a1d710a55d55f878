"""Messages between a worker and its parent, through the two pipes that every system gives to a process it begins.

A message is JSON in one line. What is read waits in a thread until somebody asks for it: not every system can wait for
several pipes at once.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from threading import Condition, Thread
from typing import IO, Any

#: What has come in, of all channels of the process.
_news = Condition()


class Channel:
    """One end. ``incoming`` and ``outgoing``: binary files, which belong to the channel from now on."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._outgoing = outgoing
        self._come: deque[dict[str, Any]] = deque()
        self._over = False
        # A daemon: what other processes hold open must not keep this one from ending.
        Thread(target=self._read, args=(incoming,), name="channel", daemon=True).start()

    def send(self, message: Any) -> None:
        """Raises OSError if nobody is there to read it, now or from before."""
        self._outgoing.write(json.dumps(message).encode() + b"\n")
        self._outgoing.flush()

    def receive(self) -> dict[str, Any] | None:
        """The next message that is here already, or None."""
        with _news:
            return self._come.popleft() if self._come else None

    @property
    def speaks(self) -> bool:
        """Whether something is here, or nothing will come any more."""
        with _news:
            return bool(self._come) or self._over

    @property
    def over(self) -> bool:
        """Whether nothing is here and nothing will come any more."""
        with _news:
            return self._over and not self._come

    def close(self) -> None:
        """Say that nothing more is sent: the other end finds that out."""
        with suppress(OSError):  # of what is still to be flushed to a process that is dead
            self._outgoing.close()

    def _read(self, incoming: IO[bytes]) -> None:
        with suppress(OSError, ValueError), incoming:
            # A line that is torn was its writer's last.
            while (line := incoming.readline()).endswith(b"\n"):
                message = json.loads(line)
                with _news:
                    self._come.append(message)
                    _news.notify_all()
        with _news:
            self._over = True
            _news.notify_all()


def wait(channels: Sequence[Channel], seconds: float) -> list[Channel]:
    """Those which speak, as soon as one does; none after so many seconds."""
    with _news:
        _news.wait_for(lambda: any(one._come or one._over for one in channels), seconds)
        return [one for one in channels if one._come or one._over]


def of_worker() -> Channel:
    """A worker's end. Whatever is printed from now on goes to stderr, and nothing can be read from stdin."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Channel(incoming, outgoing)
