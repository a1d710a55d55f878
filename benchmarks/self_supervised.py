"""What fine-tuning on noisy clouds of one's own is worth: `python benchmarks/self_supervised.py --minutes 4`.

The network is tuned on a simulated scan of which it sees the noisy points alone (objectives self_supervised and
score_matching), and measured before and after on another scan of the same kind, made from other seeds, and on one of
another kind. Shares of the noisy input's RMS distance to the true surface (plane, edge) or to the own place (thin,
vegetation). With --control also after as long on generated scenes alone: what the noisy scans give is the difference.
With --anew the score network knows nothing at first; the noise network is that of the weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from lidar import STRATA
from noise import KINDS
from protocol import Ours, head, line, parser, rms
from scenes import SCENES, SEED, scenes
from simulator import Scan

import deburr.train
from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.nn import weights
from deburr.nn.deburr import BUNDLED
from deburr.nn.deburr.default import sizes_of
from deburr.nn.deburr.network import ScoreNetwork
from deburr.nn.models import load
from deburr.writers.ply import Ply

OBJECTIVES = ("self_supervised", "score_matching")
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


def tune(
    objective: str, clouds: list[Floats], init: str, asked: argparse.Namespace, output: str, noise: float | None
) -> None:
    """Train ``init`` as long as is ``asked`` on ``clouds``, or on generated scenes where the ``objective`` is of those,
    and write the weights ``output``.

    ``noise``: told, or None.
    """
    noisy, long = (
        objective != "denoising",
        {"minutes": asked.minutes} if asked.steps is None else {"steps": asked.steps},
    )
    with TemporaryDirectory() as folder:
        for i, cloud in enumerate(clouds):
            Ply.model_validate({"filename": f"{folder}/{i}.ply"}).write(PointCloud(cloud))
        recipe = {
            "output": output,
            "objective": objective,
            "files": ["*.ply"] if noisy else [],
            "networks": ["score"],
            "learning_rate": 2e-3 if asked.anew else 2e-4,
            "solids": 12,
            "kernels": "compiled",
            "noise": noise if noisy else None,
            **long,
        }
        path = Path(folder) / "train.json"
        path.write_text(json.dumps(recipe))
        link = deburr.train.run(str(path), init=init)["chain"][-1]
    print(f"{objective}: {link['minutes']} minutes, {link['steps']} steps, on {link.get('tiles')}", flush=True)


def unlearnt(init: str, output: str) -> str:
    """``init`` with a score network of chance, as the file ``output``."""
    tensors, card = weights.read(init, model="deburr")
    torch.manual_seed(0)
    fresh = ScoreNetwork(sizes_of(init, card)).state_dict()
    weights.save(output, tensors | {f"score.{name}": value for name, value in fresh.items()}, card)
    return output


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
    command.add_argument("--steps", type=int, help="in place of minutes: on a machine that does other work too")
    command.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=OBJECTIVES, help="what is compared")
    command.add_argument("--anew", action="store_true", help="begin with a score network that knows nothing")
    command.add_argument("--control", action="store_true", help="tune once more without the scans")
    command.add_argument("--output", help="keep the weights tuned for the one objective in this file")
    asked = command.parse_args()
    if asked.output and len(asked.objectives) > 1:
        command.error("--output keeps the weights of one objective; name it with --objectives")
    init = asked.weights or str(BUNDLED)
    scans = list(scenes((asked.scene, asked.other)))
    table = {"before": [shares(scan, asked.kind, Ours(load("deburr", init))) for scan in scans]}
    tiles = [own_scan(asked.scene, number) for number in range(asked.tiles)]
    noise = tiles[0].noise if asked.told else None
    clouds = [noisy(tile, asked.kind) for tile in tiles]
    with TemporaryDirectory() as folder:
        begin = unlearnt(init, f"{folder}/begin.safetensors") if asked.anew else init
        for name in [*asked.objectives, *(["denoising"] if asked.control else [])]:
            output = asked.output if asked.output and name in asked.objectives else f"{folder}/{name}.safetensors"
            tune(name, clouds, begin, asked, output, noise)
            table[name] = [shares(scan, asked.kind, Ours(load("deburr", output))) for scan in scans]
    head(f"{asked.kind} noise; tuned on {asked.scene}; share of the input's", [*STRATA, "all", "noise"], 11)
    for i, scan in enumerate(scans):
        for name, found in table.items():
            line(f"{scan.name[:14]}: {name}", found[i], 11)


if __name__ == "__main__":
    main()
