"""What `planes`, `far` and `network` do, in loops that numba compiles: several times as fast as plain torch, which
defines what is right. `loaded` is the door."""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import TYPE_CHECKING

from deburr.core.errors import RunError
from deburr.core.interrupts import whole_import
from deburr.core.phases import phase
from deburr.core.progress import advance
from deburr.core.text import short

if TYPE_CHECKING:
    from types import ModuleType

log = logging.getLogger(__name__)

#: Says which is used, "compiled" or "torch"; unset, the size of the cloud decides.
VARIABLE = "DEBURR_KERNELS"
#: Clouds of fewer points take less time without: kernels are loaded in a second or two.
FEWEST = 100_000
_PHASE = "loading the network's kernels (compiled once)"


def wanted(count: int) -> bool:
    """Whether a cloud of ``count`` points, of which a tile may be seen, is one for kernels."""
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "compiled", "torch"):
        raise RunError(f"{VARIABLE}: must be 'compiled' or 'torch', not '{short(asked, 40)}'; set it or unset it")
    return asked == "compiled" or (not asked and count >= FEWEST)


def loaded(wanted: bool) -> ModuleType | None:
    """`deburr.nn.deburr.kernels.door`, ready to run; None where they are not ``wanted``, or cannot be had, which is
    told once."""
    return _ready() if wanted else None


@cache
@phase("loading kernels")
def _ready() -> ModuleType | None:
    # Numba keeps what it compiled beside the code or in the user's cache, but at first that takes its time.
    advance(_PHASE, 0, 1)
    try:
        door = whole_import("deburr.nn.deburr.kernels.door")
        door.try_out()
    except Exception as error:  # whatever a compiler, its cache or a library may meet
        log.warning(
            "the compiled kernels cannot be used (%s: %s); plain torch does the same, several times slower",
            type(error).__name__,
            (str(error).strip().splitlines() or ["no message"])[0][:200],
        )
        return None
    advance(_PHASE, 1, 1)
    return door
