"""The arrays that deburr works on, by their elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
#: Columns by the names of their dimensions.
Dims = Mapping[str, npt.NDArray[Any]]
