"""The volume of closed shapes after 1, 2, 5 and 10 passes, over the clean one: `python benchmarks/shrinkage.py`.

The vertices of a closed mesh are denoised again and again, its triangles are carried along, and the volume that they
enclose is measured. Noise does not change a volume on average; what a filter takes off edges and tips does. With noise
of 1 % of the radius, and without.
"""

from __future__ import annotations

import numpy as np
from classical import Denoise
from meshes import volume
from procedural import mesh
from protocol import best_line, head, parser, rows, settings

from deburr.core.arrays import Floats
from deburr.filters._mesh import Mesh

#: Standard deviations of the noise, of the radius.
LEVELS = (0.0, 0.01)
PASSES = (1, 2, 5, 10)
#: Shapes whose vertices, 7,000 to 15,000, are spread about evenly and resolve every part.
CLOSED = ("supershape pillow", "bumps", "trefoil", "gear", "text", "twisted star", "spikes")


def ratios(surfaces: list[Mesh], denoise: Denoise) -> Floats:
    """Volumes over the clean ones (level of noise, surface, passes)."""
    found = []
    for level in LEVELS:
        for surface in surfaces:
            points = surface.vertices + np.random.default_rng(0).normal(0, level, surface.vertices.shape)
            whole = volume(surface.vertices, surface.triangles)
            for done in range(1, max(PASSES) + 1):
                points = denoise(points)
                if done in PASSES:
                    found.append(volume(points, surface.triangles) / whole)
    return np.array(found).reshape(len(LEVELS), len(surfaces), len(PASSES))


def main() -> None:
    """Print one table."""
    asked = parser(__doc__).parse_args()
    names = CLOSED[:2] if asked.quick else CLOSED
    surfaces = [mesh(name) for name in names]
    columns = [f"{level:.0%}, {count}x" for level in LEVELS for count in PASSES]
    head(f"mean volume over the clean one; {len(names)} shapes; noise, passes", columns)
    table = rows(asked)[1]
    for named in settings(table).values():
        found = {name: ratios(surfaces, table[name]) for name in named}
        best_line({name: list(each.mean(1).ravel()) for name, each in found.items()}, aim=1.0)
        worst = {name: _furthest(each) for name, each in found.items()}
        best_line(worst, aim=1.0, what=", worst shape")


def _furthest(found: Floats) -> list[float]:
    return list(np.take_along_axis(found, np.abs(found - 1).argmax(1)[:, None], 1).ravel())


if __name__ == "__main__":
    main()
