"""What it costs to denoise chips that know nothing of each other: `python benchmarks/chips.py FILE [--noise 0.0085]`.

FILE is cut by PDAL's filters.chipper; every chip is denoised by itself, as filters.python would do it, and held against
the result of the whole, point by point. Needs PDAL's Python bindings. Lengths are in the file's units.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import pdal

from deburr.plugins import denoise_array
from deburr.plugins.pdal.columns import from_array, to_array

#: A point that ends further from where it belongs than this is counted.
FAR = 0.001


def places(array: Any) -> Any:
    """(N, 3) float64: the coordinates of a structured array."""
    return np.stack([array[axis] for axis in "XYZ"], axis=1)


def chips(array: Any, capacity: int) -> list[Any]:
    """The views that filters.chipper makes of a structured array."""
    stages = [{"type": "filters.chipper", "capacity": capacity}]
    pipeline = pdal.Pipeline(json.dumps(stages), arrays=[array])
    pipeline.execute()
    return list(pipeline.arrays)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--noise", type=float, default=0.0085, help="the level of the rows in which it is given")
    parser.add_argument("--capacity", type=int, nargs="+", default=[5_000, 50_000], help="points of a chip")
    asked = parser.parse_args()
    pipeline = pdal.Pipeline(json.dumps([asked.file]))
    pipeline.execute()
    array = pipeline.arrays[0]
    numbered = to_array({**from_array(array), "Number": np.arange(len(array), dtype=np.uint32)})
    print(f"{len(array):,} points")
    print(f"{'capacity':>9}{'noise':>11}{'moved, RMS':>12}{'further than ' + str(FAR):>20}{'RMS':>9}")
    for name, options in (("estimated", {}), ("given", {"noise": asked.noise})):
        whole = places(denoise_array(array, **options))
        moved = np.linalg.norm(whole - places(array), axis=1)
        for capacity in asked.capacity:
            found = np.empty_like(whole)
            for chip in chips(numbered, capacity):
                found[chip["Number"]] = places(denoise_array(chip, **options))
            apart = np.linalg.norm(found - whole, axis=1)
            rms = [float(np.sqrt((one**2).mean())) for one in (moved, apart)]
            print(f"{capacity:>9,}{name:>11}{rms[0]:>12.4f}{100 * (apart > FAR).mean():>18.1f} %{rms[1]:>9.4f}")


if __name__ == "__main__":
    main()
