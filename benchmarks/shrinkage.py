"""The volume of closed shapes after 1, 2, 5 and 10 passes, over the clean one: `python benchmarks/shrinkage.py`.

The vertices of a closed mesh are denoised again and again, its triangles are carried along, and the volume that they
enclose is measured. Noise does not change a volume on average; what a filter takes off edges and tips does. With noise
of 1 % of the radius, and without.
"""

from __future__ import annotations

import numpy as np
from meshes import volume
from procedural import mesh
from protocol import LEVELS, head, line, parser, rows

PASSES = (1, 2, 5, 10)
#: Shapes whose vertices, 7,000 to 15,000, are spread about evenly and resolve every part.
CLOSED = ("supershape pillow", "bumps", "trefoil", "gear", "text", "twisted star", "spikes")


def main() -> None:
    """Print one table."""
    asked = parser(__doc__).parse_args()
    names = CLOSED[:2] if asked.quick else CLOSED
    surfaces = [mesh(name) for name in names]
    levels = (0.0, LEVELS[0])
    columns = [f"{level:.0%}, {count}x" for level in levels for count in PASSES]
    head(f"mean volume over the clean one; {len(names)} shapes; noise, passes", columns)
    for name, denoise in rows(asked)[1].items():
        ratios = []
        for level in levels:
            for surface in surfaces:
                points = surface.vertices + np.random.default_rng(0).normal(0, level, surface.vertices.shape)
                whole = volume(surface.vertices, surface.triangles)
                for done in range(1, max(PASSES) + 1):
                    points = denoise(points)
                    if done in PASSES:
                        ratios.append(volume(points, surface.triangles) / whole)
        found = np.array(ratios).reshape(len(levels), len(surfaces), len(PASSES))
        line(name, list(found.mean(1).ravel()))
        furthest = np.take_along_axis(found, np.abs(found - 1).argmax(1)[:, None], 1)
        line(f"{name}, worst shape"[:32], list(furthest.ravel()))


if __name__ == "__main__":
    main()
