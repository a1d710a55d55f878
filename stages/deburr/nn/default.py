"""The default model: estimates the noise level, then climbs the score in a few steps of falling noise."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deburr.core.cloud import Floats
from deburr.core.errors import ReadError
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.nn import weights as weights_file
from deburr.nn.blocks import Blocks, helping
from deburr.nn.device import torch_device
from deburr.nn.inputs import NOISE_FLOOR, Scene
from deburr.nn.layer import Sizes
from deburr.nn.models import PATCHES, Denoised, Settings
from deburr.nn.network import ScoreNetwork
from deburr.nn.noise_network import NoiseNetwork, pooled_noise
from deburr.nn.planes import HOPS, Graph, Planes, build_graph, fit_planes, widening
from deburr.nn.points import canonical, limited

BUNDLED = Path(__file__).with_name("deburr.safetensors")
#: Each step is told this share of the noise level before it; the weights are trained for it.
STEP_LEVEL = 0.4
#: A second step is worth its time where the noise exceeds this many spacings.
SECOND_STEP = 0.25
#: Points whose scores are found at once, each part with some more around it.
PART = 200_000
#: How often fitting planes walks over the points, and what estimating the noise does with them.
_PLANES = max(HOPS) + len(HOPS)
_ESTIMATE = _PLANES + NoiseNetwork.WALKS
#: Largest displacement, in standard deviations of the noise.
REACH = 3.5


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
        graph = build_graph(distinct, settings.frame.scale if settings.frame is not None else None)
        unit = graph.unit
        with helping(threads()) as helpers:
            ticker = _Ticker(len(distinct))
            blocks = Blocks(len(distinct), (settings.patches or PATCHES["blocks"]).size, helpers, ticker.tick)
            if settings.noise is None:
                ticker.begin("estimating the noise", _ESTIMATE)
                planes, level = self._level(graph, blocks)
            else:
                ticker.begin("fitting planes", _PLANES)
                level = settings.noise / unit
                planes = fit_planes(graph, widening(level), blocks)
            steps = settings.steps or (2 if level > SECOND_STEP else 1)
            ticker.begin("denoising", steps * (ScoreNetwork.WALKS + len(self.score.layers)) + (steps - 1) * _PLANES)
            way, gate = self._climb(graph, planes, level, steps, torch_device(settings.device), blocks)
        limit = settings.max_displacement if settings.max_displacement is not None else REACH * level * unit
        figures = {
            "noise": level * unit,
            "noise_source": "estimated" if settings.noise is None else "given",
            "spacing": unit,
            "steps": steps,
            "max_displacement": limit,
        }
        # Where the gate is open, the neighbours know the surface, and all noise across it goes.
        uncertainty = level * unit * np.sqrt(1 - gate)
        moved = distinct + settings.strength * limited(unit * way, limit)
        return Denoised(moved[back], figures, uncertainty[back])

    def _climb(
        self, graph: Graph, planes: Planes, level: float, steps: int, device: torch.device, blocks: Blocks
    ) -> tuple[Floats, Floats]:
        """The way of every point (N, 3) in ``steps`` steps, in the graph's units, and the first step's gates (N,)."""
        # One thread feeds a GPU.
        fed = blocks if device.type == "cpu" else replace(blocks, helpers=None)
        start = now = graph.points.numpy()
        first = np.empty(0)
        for step in range(steps):
            told = level * STEP_LEVEL**step
            if step:
                graph = build_graph(now, unit=1.0)
                planes = fit_planes(graph, widening(told), blocks)
            noise = (NOISE_FLOOR * graph.spacing).clamp_min(told)
            score, gate = (part.double().numpy() for part in self._score(Scene(graph, planes, noise), device, fed))
            now, first = now + score, first if step else gate
        return now - start, first

    def _score(self, scene: Scene, device: torch.device, blocks: Blocks) -> tuple[Tensor, Tensor]:
        """Scores (N, 3) and gates (N,). Part after part with what its points see, or memory would bound the cloud."""
        network, count = self.score.to(device), len(scene.noise)
        score, gate = torch.empty(count, 3), torch.empty(count)
        for start in range(0, count, PART):
            rows = slice(start, min(start + PART, count))
            seen = scene.graph.around(rows, len(network.layers) + 1)
            inner = (seen >= rows.start) & (seen < rows.stop)
            found = network(scene.part(seen).to(device), blocks.of(len(seen)))
            score[rows], gate[rows] = (part.cpu()[inner] for part in found)
        return score, gate

    def _level(self, graph: Graph, blocks: Blocks) -> tuple[Planes, float]:
        """The noise level, and planes as wide as it asks for: noise above the spacing hides in narrower ones."""
        wider = 1
        while True:
            planes = fit_planes(graph, wider, blocks)
            with torch.inference_mode():
                guess, weight = self.noise(graph, planes, blocks)
                level = float(pooled_noise(guess, weight, graph.spacing).exp())
            if widening(level) <= wider:
                return planes, level
            wider *= 2


class _Ticker:
    """Tells how far a phase of the work has come, whenever it is told that a block is finished."""

    def __init__(self, count: int) -> None:
        self._count, self._name, self._total, self._done = count, "", 0, 0

    def begin(self, name: str, walks: int) -> None:
        """From here on, all points are walked over ``walks`` times."""
        self._name, self._total, self._done = name, walks * self._count, 0

    def tick(self, points: int) -> None:
        # Parts overlap, so that some points count twice.
        self._done += points
        advance(self._name, min(self._done, self._total), self._total)


def estimate_noise(xyz: Floats, model: Default | None = None) -> float:
    """The noise's standard deviation per coordinate in ``xyz`` (N, 3) float64, in its units; needs 32 points.

    ``model``: whose noise network to ask; default: the bundled one.
    """
    graph = build_graph(canonical(xyz)[0])
    with helping(threads()) as helpers:
        blocks = Blocks(len(graph.spacing), PATCHES["blocks"].size, helpers)
        return (model or Default.load())._level(graph, blocks)[1] * graph.unit


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
