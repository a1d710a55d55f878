"""The default model: estimates the noise level, then climbs the score in a few steps of falling noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import torch

from deburr.core.cloud import Floats
from deburr.core.errors import ReadError
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.nn import weights as weights_file
from deburr.nn.blocks import Blocks, worker_pool
from deburr.nn.device import torch_device
from deburr.nn.models import PATCHES, Denoised, Settings
from deburr.nn.network import NOISE_FLOOR, Scene, ScoreNetwork, Sizes
from deburr.nn.noise_network import NoiseNetwork, pooled_noise
from deburr.nn.planes import HOPS, NOISE_HOPS, Graph, Planes, build_graph, fit_planes
from deburr.nn.points import canonical, limited

BUNDLED = Path(__file__).with_name("deburr.safetensors")
#: Each step is told this share of the noise level before it; the weights are trained for it.
STEP_LEVEL = 0.4
STEPS = 2
#: Largest displacement, in standard deviations of the noise.
REACH = 4.0


@dataclass(frozen=True)
class Default:
    """The score network and the noise network, ready to run."""

    score: ScoreNetwork
    noise: NoiseNetwork

    @classmethod
    def load(cls, path: str | None = None) -> Default:
        """The weights in ``path``, or the bundled ones. Raises `deburr.core.errors.ReadError`."""
        return _bundled() if path is None else _load(path)

    def denoise(self, xyz: Floats, settings: Settings) -> Denoised:
        """See `deburr.nn.models.Model.denoise`. Equal points are denoised as one and stay equal."""
        distinct, back = canonical(xyz)
        unit = settings.frame.scale if settings.frame is not None else None
        steps = settings.steps or STEPS
        device = torch_device(settings.device)
        now, level = distinct, 0.0
        with worker_pool(threads()) as pool, worker_pool(1) as feeder:
            size, tick = (settings.patches or PATCHES["blocks"]).size, self._ticker(len(distinct), steps, settings)
            blocks = Blocks(len(distinct), size, pool, tick)
            fed = blocks if device.type == "cpu" else Blocks(len(distinct), size, feeder, tick)
            for step in range(steps):
                graph = build_graph(now, unit)
                unit = graph.unit
                estimating = step == 0 and settings.noise is None
                planes = fit_planes(graph, NOISE_HOPS if estimating else HOPS, blocks)
                if step == 0:
                    level = self._level(graph, planes, blocks) if settings.noise is None else settings.noise / unit
                noise = (NOISE_FLOOR * graph.spacing).clamp_min(level * STEP_LEVEL**step)
                score = self.score.to(device)(Scene(graph, planes, noise).to(device), fed)[0]
                now = now + unit * score.cpu().double().numpy()
        assert unit is not None, "there is at least one step"
        limit = settings.max_displacement if settings.max_displacement is not None else REACH * level * unit
        away = limited((now - distinct) * settings.strength, limit)
        figures = {
            "noise": level * unit,
            "noise_source": "given" if settings.noise is not None else "estimated",
            "spacing": unit,
            "steps": steps,
            "max_displacement": limit,
        }
        return Denoised((distinct + away)[back], figures)

    def _ticker(self, count: int, steps: int, settings: Settings) -> Callable[[int], None]:
        """Tells how far all steps have come, whenever it is told that a block is finished."""
        walks = max(HOPS) + len(HOPS) + ScoreNetwork.WALKS + 2 * len(self.score.layers)
        estimate = max(NOISE_HOPS) - max(HOPS) + 1 + NoiseNetwork.WALKS
        total = count * (steps * walks + (estimate if settings.noise is None else 0))
        done = 0

        def tick(points: int) -> None:
            nonlocal done
            done += points
            advance("denoising", done, total)

        return tick

    def _level(self, graph: Graph, planes: Planes, blocks: Blocks | None = None) -> float:
        with torch.inference_mode():
            guess, scale = self.noise(graph, planes, blocks)
            return pooled_noise(guess, scale, graph.spacing)


def estimate_noise(xyz: Floats) -> float:
    """The noise's standard deviation per coordinate in ``xyz`` (N, 3) float64, in its units; needs 32 points."""
    graph = build_graph(canonical(xyz)[0])
    with worker_pool(threads()) as pool:
        blocks = Blocks(len(graph.spacing), PATCHES["blocks"].size, pool)
        return Default.load()._level(graph, fit_planes(graph, NOISE_HOPS, blocks), blocks) * graph.unit


@cache
def _bundled() -> Default:
    return _load(str(BUNDLED))


def _load(path: str) -> Default:
    tensors, card = weights_file.read(path, model="deburr")
    model = Default(ScoreNetwork(_sizes(path, card)), NoiseNetwork())
    both = torch.nn.ModuleDict({"score": model.score, "noise": model.noise})
    weights_file.fit(path, both, tensors)
    both.eval()
    return model


def _sizes(path: str, card: weights_file.Card) -> Sizes:
    told = card.get("sizes")
    wanted = {field.name for field in fields(Sizes)}
    if (
        not isinstance(told, dict)
        or told.keys() != wanted
        or not all(type(n) is int and 0 < n < 4096 for n in told.values())
    ):
        raise ReadError(f"{path}: its card does not tell the network's sizes; {weights_file.REMEDY} that is sound")
    return Sizes(**told)
