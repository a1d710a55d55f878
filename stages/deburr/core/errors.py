"""Every error deburr raises on purpose; each message says where, what and the remedy.

DeburrError
├── SpecError    the pipeline's JSON is wrong; holds *all* its problems     exit code 2
└── RunError     the run failed: a file, the data, the machine              exit code 1
    ├── ReadError    an input cannot be read or makes no sense
    └── WriteError   an output cannot be written; nothing half-written is left behind
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from deburr.core.text import printable

#: Problems that a message lists; ``errors`` holds all.
_LISTED = 100
#: Letters of a word that a known word is looked for; longer ones are no slip of the pen.
_WORD = 100


class DeburrError(Exception):
    """Base of all; ``exit_code`` is what the command line returns.

    ``errors`` lists every problem found, one sentence each, in which foreign text is printable and short.
    """

    exit_code = 1

    def __init__(self, errors: str | Sequence[str]) -> None:
        self.errors: tuple[str, ...] = tuple(map(printable, (errors,) if isinstance(errors, str) else errors))
        more = [f"and {len(self.errors) - _LISTED:,} more problems"] if len(self.errors) > _LISTED else []
        super().__init__("\n".join([*self.errors[:_LISTED], *more]))

    def __reduce__(self) -> tuple[type[DeburrError], tuple[tuple[str, ...]]]:
        return type(self), (self.errors,)


class DeburrWarning(UserWarning):
    """What a stage warns of, as `deburr.pipeline.run` hands it to Python's `warnings`; the command line prints it."""


class SpecError(DeburrError):
    """A spec that cannot run."""

    exit_code = 2


class RunError(DeburrError):
    """A run that failed for a reason outside the spec."""


class ReadError(RunError):
    """An input that cannot be read; the message starts with its path."""


class WriteError(RunError):
    """An output that cannot be written; the message starts with its path."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the nearest known word, or an empty string."""
    near = get_close_matches(word, sorted(known), n=1, cutoff=0.6) if len(word) <= _WORD else []
    return f"; did you mean '{near[0]}'?" if near else ""
