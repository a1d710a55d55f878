"""Chamfer distance on the validation shapes, as a share of the unprocessed input's: `python benchmarks/accuracy.py`.

The noise level is not told to any row.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from protocol import LEVELS, Floats, chamfer, guided_filter, local_plane, noisy, shapes

from deburr.nn.models import Settings, load


def rows(weights: str | None, published: str | None) -> dict[str, Callable[[Floats], Floats]]:
    """Every denoiser by name."""
    ours = load("deburr", weights)
    found: dict[str, Callable[[Floats], Floats]] = {
        "deburr": lambda p: ours.denoise(p, Settings()).xyz,
        "local plane, k = 16": local_plane,
        "guided filter, k = 16": guided_filter,
    }
    if published:
        theirs = load("spd", published)
        found["SPD as published"] = lambda p: theirs.denoise(p, Settings()).xyz
    return found


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10_000, choices=(10_000, 50_000))
    parser.add_argument("--shapes", type=int, default=40, help="how many of the 40")
    parser.add_argument("--weights", help="safetensors file of model deburr; default: the bundled")
    parser.add_argument("--published", help="imported weights of model spd, for a row of its own")
    asked = parser.parse_args()
    clouds = list(shapes(asked.points))[:: max(40 // asked.shapes, 1)][: asked.shapes]
    print(f"Chamfer, share of the input's; {len(clouds)} shapes of {asked.points} points; noise not told")
    print(f"{'noise':<24}" + "".join(f"{level:>8.0%}" for level in LEVELS))
    print(f"{'input':<24}" + "".join(f"{1:>8.3f}" for _ in LEVELS))
    for name, denoise in rows(asked.weights, asked.published).items():
        print(f"{name:<24}", end="", flush=True)
        for level in LEVELS:
            shares = np.array([(chamfer(denoise(x := noisy(c, level)), c), chamfer(x, c)) for _, c in clouds])
            print(f"{shares[:, 0].mean() / shares[:, 1].mean():>8.3f}", end="", flush=True)
        print()


if __name__ == "__main__":
    main()
