"""One share for work that has parts, and parts of parts, of which nobody knows beforehand how many there will be."""

from __future__ import annotations

#: How far all work leads; what is beyond is that it has ended well.
_LAST = 0.99


class Share:
    """How much of all work is done, from 0 to 1; it never falls back.

    A part takes some of what is *left* of the part around it, by weights that are guesses: so that whatever comes
    again, or comes unexpected, still fits in. Levels are counted from 0, the outermost.
    """

    def __init__(self) -> None:
        self.now = 0.0
        #: Where the open parts begin and end, by level; the first is all work.
        self._parts = [(0.0, _LAST)]

    def begin(self, level: int, own: float = 1.0, later: float = 0.0, whole: bool = True) -> None:
        """A part begins, of the weight ``own``; what comes after it, in the part around it, weighs ``later``.

        Parts of this level and of deeper ones end: the last of this level as one that is done, if it is done as a
        ``whole``.
        """
        if whole and self.open(level):
            self._advance(self._parts[level + 1][1])
        del self._parts[level + 1 :]
        end = self._parts[-1][1]
        self._parts.append((self.now, min(end, self.now + (end - self.now) * own / (own + later))))

    def open(self, level: int) -> bool:
        """Whether there is a part of this level."""
        return len(self._parts) > level + 1

    def reach(self, level: int, done: float) -> None:
        """So much (0 to 1) of the open part of this level is done; parts within it end."""
        del self._parts[level + 2 :]
        start, end = self._parts[level + 1]
        self._advance(min(end, start + (end - start) * max(0.0, done)))

    def finish(self) -> None:
        """All is done, and well."""
        self.now = 1.0

    def _advance(self, to: float) -> None:
        self.now = max(self.now, to)
