"""What fine-tuning on noisy clouds of one's own is worth: `python benchmarks/self_supervised.py --minutes 4`.

The network is tuned on a simulated scan of which it sees the noisy points alone (objective self_supervised), and
measured before and after on another scan of the same kind, made from other seeds, and on one of another kind. Shares
of the noisy input's RMS distance to the true surface (plane, edge) or to the own place (thin, vegetation). With
--control also after as many minutes on generated scenes alone: what the noisy scans give is the difference.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from lidar import STRATA
from noise import KINDS
from protocol import Ours, head, line, parser, rms
from scenes import SCENES, SEED, scenes
from simulator import Scan

import deburr.train
from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.nn.deburr import BUNDLED
from deburr.nn.models import load
from deburr.writers.ply import Ply

#: Added to the frozen seeds for the scans that are learnt from.
_OTHER = 1000


def own_scan(name: str, number: int) -> Scan:
    """A scan of the kind ``name`` that no other benchmark measures on."""
    seed = SEED + _OTHER + number
    (make,) = (make for make in SCENES if make.__name__ == name)
    return make(seed, np.random.default_rng([seed, 2]))


def noisy(scan: Scan, kind: str) -> Floats:
    """The scan (N, 3) with noise of its level of a kind in `KINDS`."""
    return np.asarray(scan.clean + scan.noise * KINDS[kind](np.random.default_rng([scan.seed, 3]), scan.beam))


def tune(clouds: list[Floats], init: str, minutes: float, output: str, noise: float | None) -> None:
    """Fine-tune ``init`` on ``clouds``, or without any on generated scenes alone, and write the weights ``output``.

    ``noise``: told, or None.
    """
    with TemporaryDirectory() as folder:
        for i, cloud in enumerate(clouds):
            Ply.model_validate({"filename": f"{folder}/{i}.ply"}).write(PointCloud(cloud))
        recipe = {
            "output": output,
            "objective": "self_supervised" if clouds else "denoising",
            "files": ["*.ply"] if clouds else [],
            "networks": ["score"],
            "minutes": minutes,
            "learning_rate": 2e-4,
            "solids": 12,
            "noise": noise if clouds else None,
        }
        path = Path(folder) / "train.json"
        path.write_text(json.dumps(recipe))
        link = deburr.train.run(str(path), init=init)["chain"][-1]
    print(f"tuned for {link['minutes']} minutes, {link['steps']} steps, on {link.get('tiles')}", flush=True)


def shares(scan: Scan, kind: str, ours: Ours) -> list[float]:
    """One row: the four strata, all points together, and the estimated noise over the true one."""
    x = noisy(scan, kind)
    before, after = scan.errors(x), scan.errors(ours(x))
    before["all"], after["all"] = (np.concatenate(list(errors.values())) for errors in (before, after))
    found = [rms(after[name]) / rms(before[name]) for name in (*STRATA, "all")]
    return [*found, ours.guesses[-1] / scan.noise]


def main() -> None:
    """Print the table: each scan before and after."""
    names = [make.__name__ for make in SCENES]
    command = parser(__doc__)
    command.add_argument("--minutes", type=float, default=4.0, help="how long to tune")
    command.add_argument("--scene", choices=names, default="forest", help="the kind that is learnt from")
    command.add_argument("--other", choices=names, default="suburb", help="the kind that is not")
    command.add_argument("--kind", choices=list(KINDS), default="Gaussian", help="of the noise")
    command.add_argument("--tiles", type=int, default=2, help="how many scans are learnt from")
    command.add_argument("--told", action="store_true", help="training is told the noise level")
    command.add_argument("--control", action="store_true", help="tune a second time without the scans")
    command.add_argument("--output", help="keep the tuned weights in this safetensors file")
    asked = command.parse_args()
    init = asked.weights or str(BUNDLED)
    scans = list(scenes((asked.scene, asked.other)))
    table = {"before": [shares(scan, asked.kind, Ours(load("deburr", init))) for scan in scans]}
    tiles = [own_scan(asked.scene, number) for number in range(asked.tiles)]
    noise = tiles[0].noise if asked.told else None
    runs = {"after": [noisy(tile, asked.kind) for tile in tiles], **({"control": []} if asked.control else {})}
    with TemporaryDirectory() as folder:
        for name, clouds in runs.items():
            output = asked.output if asked.output and clouds else f"{folder}/{name}.safetensors"
            tune(clouds, init, asked.minutes, output, noise)
            table[name] = [shares(scan, asked.kind, Ours(load("deburr", output))) for scan in scans]
    head(f"{asked.kind} noise; tuned on {asked.scene}; share of the input's", [*STRATA, "all", "noise"], 11)
    for i, scan in enumerate(scans):
        for name, found in table.items():
            line(f"{scan.name}: {name}"[:32], found[i], 11)


if __name__ == "__main__":
    main()
