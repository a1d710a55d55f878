"""The default model: estimates the noise level, then climbs the score in a few steps of falling noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from deburr.core.cloud import Floats
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.nn import weights as weights_file
from deburr.nn.device import torch_device
from deburr.nn.models import Denoised, Settings
from deburr.nn.network import NOISE_FLOOR, NoiseNetwork, Scene, ScoreNetwork, Sizes, pooled_noise
from deburr.nn.planes import Graph, Planes, build_graph, fit_planes

BUNDLED = Path(__file__).with_name("deburr.safetensors")
#: Each step is told this share of the noise level before it; the weights are trained for it.
STEP_LEVEL = 0.4
STEPS = 2
#: Points computed at a time: their neighbours' features about fill a core's cache.
BLOCK = 4096
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
        torch.set_num_threads(threads())
        distinct, back = _distinct(xyz)
        unit = settings.frame.scale if settings.frame is not None else None
        steps = settings.steps or STEPS
        now, level = distinct, 0.0
        for step in range(steps):
            graph = build_graph(now, unit)
            planes = fit_planes(graph)
            unit = graph.unit
            if step == 0:
                level = settings.noise / unit if settings.noise is not None else self._level(graph, planes)
            told = level * STEP_LEVEL**step
            now = now + unit * self._score(graph, planes, told, settings, step, steps)
        assert unit is not None
        away = now - distinct
        limit = settings.max_displacement if settings.max_displacement is not None else REACH * level * unit
        length = np.linalg.norm(away, axis=1, keepdims=True)
        away *= settings.strength * np.minimum(1.0, limit / np.maximum(length, 1e-300))
        figures = {
            "noise": level * unit,
            "noise_source": "given" if settings.noise is not None else "estimated",
            "spacing": unit,
            "steps": steps,
            "max_displacement": limit,
        }
        return Denoised((distinct + away)[back] if back is not None else distinct + away, figures)

    def _level(self, graph: Graph, planes: Planes) -> float:
        with torch.inference_mode():
            guess, scale = self.noise(graph, planes)
            return pooled_noise(guess, scale, graph.spacing)

    def _score(self, graph: Graph, planes: Planes, level: float, settings: Settings, step: int, steps: int) -> Floats:
        device = torch_device(settings.device)
        count = len(graph.spacing)
        noise = torch.maximum(torch.full((count,), level), NOISE_FLOOR * graph.spacing)
        total, done = count * self.score.rounds * steps, count * self.score.rounds * step

        def tick(points: int) -> None:
            nonlocal done
            done += points
            advance("denoising", done, total)

        block = settings.patches.size if settings.patches is not None else BLOCK
        scene = Scene(graph, planes, noise).to(device)
        with torch.inference_mode():
            score = self.score.to(device)(scene, block, tick)[0]
        return np.asarray(score.cpu().double().numpy())


def estimate_noise(xyz: Floats) -> float:
    """The noise's standard deviation per coordinate in ``xyz`` (N, 3) float64, in its units; needs 32 points."""
    torch.set_num_threads(threads())
    distinct, _ = _distinct(xyz)
    graph = build_graph(distinct)
    return Default.load()._level(graph, fit_planes(graph)) * graph.unit


@cache
def _bundled() -> Default:
    return _load(str(BUNDLED))


def _load(path: str) -> Default:
    tensors, card = weights_file.read(path, model="deburr")
    model = Default(ScoreNetwork(Sizes(**card["sizes"])), NoiseNetwork())
    both = torch.nn.ModuleDict({"score": model.score, "noise": model.noise})
    weights_file.fit(path, both, tensors)
    both.eval()
    return model


def _distinct(xyz: Floats) -> tuple[Floats, npt.NDArray[np.intp] | None]:
    """The different points and, where some are equal, the row of each input point among them."""
    # One sum a point, sorted, shows at a tenth of the cost whether there is anything to merge.
    key = np.sort(xyz[:, 0] + np.sqrt(2.0) * xyz[:, 1] + np.sqrt(3.0) * xyz[:, 2])
    if not (key[1:] == key[:-1]).any():
        return xyz, None
    distinct, back = np.unique(xyz, axis=0, return_inverse=True)
    return distinct, back.reshape(-1)
