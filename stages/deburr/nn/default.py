"""The default model: estimates the noise level, then climbs the score in a few steps of falling noise."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deburr.core.cloud import Bools, Floats
from deburr.core.errors import ReadError
from deburr.core.horizon import Known
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.core.sums import Sums
from deburr.nn import level
from deburr.nn import weights as weights_file
from deburr.nn.blocks import Blocks, Helpers, helping
from deburr.nn.device import torch_device
from deburr.nn.inputs import NOISE_FLOOR, Scene
from deburr.nn.layer import Sizes
from deburr.nn.models import PATCHES, Denoised, Settings
from deburr.nn.network import LIMIT, ScoreNetwork
from deburr.nn.noise_network import POOLING_HOPS, NoiseNetwork
from deburr.nn.planes import HOPS, Graph, Planes, fit_planes, in_units, search
from deburr.nn.points import limited
from deburr.nn.scope import Scope

BUNDLED = Path(__file__).with_name("deburr.safetensors")
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
        scope = Scope.of(xyz, settings.seen)
        found = search(scope.points)
        with helping(threads()) as helpers:
            ticker = _Ticker(len(scope.points))
            blocks = _blocks(scope, settings, helpers, ticker)
            known, planes = self._learned(found, scope, settings, blocks, ticker)
            unit, noise = known["spacing"], known["noise"]
            steps, fits = settings.steps or level.steps(known), int(planes is None)
            walks = steps * (ScoreNetwork.WALKS + len(self.score.layers)) + (steps - 1 + fits) * _PLANES
            ticker.begin("denoising", walks)
            climb = _Climb(self.score, torch_device(settings.device), blocks, scope)
            way, gate, sure = climb.run(in_units(found, unit), planes, known["wider"], noise / unit, steps)
        limit = settings.max_displacement if settings.max_displacement is not None else REACH * noise
        figures = {
            "noise": noise,
            "noise_source": "estimated" if settings.noise is None else "given",
            "spacing": unit,
            "steps": steps,
            "max_displacement": limit,
        }
        # Where the gate is open, the neighbours know the surface, and all noise across it goes.
        uncertainty = noise * np.sqrt(1 - gate)
        moved = scope.points + settings.strength * limited(unit * way, limit)
        settled = None if sure is None else sure[scope.back]
        return Denoised(
            moved[scope.back],
            figures,
            level=np.full(len(xyz), noise),
            uncertainty=uncertainty[scope.back],
            settled=settled,
        )

    def survey(self, xyz: Floats, settings: Settings) -> tuple[Sums, Bools]:
        """See `deburr.nn.models.Surveyor.survey`."""
        scope = Scope.of(xyz, settings.seen)
        assert settings.seen is not None
        graph = search(scope.points)
        sure = scope.sure(graph.radii())
        with helping(threads()) as helpers:
            ticker = _Ticker(len(scope.points))
            blocks = _blocks(scope, settings, helpers, ticker)
            guesses = None
            if settings.noise is None:
                ticker.begin("estimating the noise", _ESTIMATE)
                wider = level.next_width(settings.seen.known)
                _, *guesses = self._guesses(in_units(graph, None), wider, blocks)
                if sure is not None:
                    sure = graph.inner(sure, level.seen(max(HOPS) * wider) - 1 + POOLING_HOPS, blocks)
        found = np.ones(len(scope.points), np.bool_) if sure is None else sure.numpy()
        sums = _count(graph, guesses, scope, settings, settings.seen.known, found)
        return sums, found[scope.back]

    def _learned(
        self, found: Graph, scope: Scope, settings: Settings, blocks: Blocks, ticker: _Ticker
    ) -> tuple[Known, Planes | None]:
        """What is known of the cloud, or else found in it; and the planes that were last fitted on the way."""
        known: Known = {} if settings.seen is None else settings.seen.known
        planes, guesses, graph = None, None, None
        while level.asks(known):
            if settings.noise is None:
                ticker.begin("estimating the noise", _ESTIMATE)
                graph = graph or in_units(found, None)
                planes, *guesses = self._guesses(graph, level.next_width(known), blocks)
            everything = np.ones(len(scope.points), np.bool_)
            sums = _count(found, guesses, scope, settings, known, everything)
            known = level.learn(known, sums, settings.noise)
        return known, None if planes is None or graph is None else planes.scaled(graph.unit / known["spacing"])

    def _guesses(self, graph: Graph, wider: int, blocks: Blocks) -> tuple[Planes, Floats, Floats]:
        """The planes, and each point's guess of the noise (N,), in cloud units, and its weight (N,)."""
        planes = fit_planes(graph, wider, blocks)
        with torch.inference_mode():
            guess, weight = self.noise(graph, planes, blocks)
            levels = (guess.double() + graph.spacing.double().log()).exp() * graph.unit
        return planes, levels.numpy(), weight.double().numpy()


@dataclass(frozen=True)
class _Climb:
    """The ascent along the score."""

    network: ScoreNetwork
    device: torch.device
    blocks: Blocks
    scope: Scope

    def run(
        self, graph: Graph, planes: Planes | None, wider: int, noise: float, steps: int
    ) -> tuple[Floats, Floats, Bools | None]:
        """The way of every point (N, 3) in ``steps`` steps, in the graph's units, the first step's gates (N,), and in a
        tile which points are sure (N,). ``planes``: the first step's, if they are known."""
        # One thread feeds a GPU.
        fed = self.blocks if self.device.type == "cpu" else replace(self.blocks, helpers=None)
        start, unit = graph.points.numpy(), graph.unit
        now, first, sure = start, np.empty(0), self.scope.sure(graph.radii())
        for step in range(steps):
            told, last = noise * level.STEP_LEVEL**step, step == steps - 1
            if step:
                graph, planes, wider = in_units(search(now), 1.0), None, level.widening(told)
                if sure is not None:
                    world = self.scope.points + unit * (now - start)
                    sure = self.scope.sure_again(world, unit * graph.radii(), sure, LIMIT * noise * unit)
            wanted = None
            if sure is not None:
                sure = self._proved(graph, sure, wider)
                # The last step serves the points that are wanted; steps before it all that these may see.
                wanted = sure & torch.as_tensor(self.scope.wanted) if last else sure
                if not bool(wanted.any()):
                    # Nothing can be told from what is seen here, and more is to be read.
                    return np.zeros_like(start), np.zeros(len(start)), np.zeros(len(start), np.bool_)
            planes = planes or fit_planes(graph, wider, self.blocks, self._seen(graph, wanted))
            floor = (NOISE_FLOOR * graph.spacing).clamp_min(told)
            score, gate = (part.double().numpy() for part in self._score(Scene(graph, planes, floor), fed, wanted))
            # What the network may do to points far from all others is more than the noise could.
            now, first = now + limited(score, LIMIT * told), first if step else gate
        return now - start, first, None if wanted is None else wanted.numpy()

    def _proved(self, graph: Graph, sure: Tensor, wider: int) -> Tensor:
        """(N,) bool: the points that see none but ``sure`` (N,) ones through planes, layers and ensemble."""
        hops = level.seen(max(HOPS) * wider) - 1 + len(self.network.layers) + 1
        return graph.inner(sure, hops, self.blocks)

    def _seen(self, graph: Graph, wanted: Tensor | None) -> Tensor | None:
        """(N,) bool: the points whose planes the scores of the ``wanted`` (N,) ones are made of; None: all."""
        if wanted is None:
            return None
        seen = torch.zeros_like(wanted)
        seen[graph.around(wanted.nonzero()[:, 0], len(self.network.layers) + 1)] = True
        return seen

    def _score(self, scene: Scene, blocks: Blocks, wanted: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scores (N, 3) and gates (N,); 0 for points that are not ``wanted`` (N,).

        Part after part with what its points see, or memory would bound the cloud.
        """
        network, count = self.network.to(self.device), len(scene.noise)
        score, gate = torch.zeros(count, 3), torch.zeros(count)
        every = torch.arange(count) if wanted is None else wanted.nonzero()[:, 0]
        for rows in torch.split(every, PART):
            seen = scene.graph.around(rows, len(network.layers) + 1)
            inner = torch.searchsorted(seen, rows)
            found = network(scene.part(seen).to(self.device), blocks.of(len(seen)))
            score[rows], gate[rows] = (part.cpu()[inner] for part in found)
        return score, gate


def _blocks(scope: Scope, settings: Settings, helpers: Helpers | None, ticker: _Ticker) -> Blocks:
    return Blocks(len(scope.points), (settings.patches or PATCHES["blocks"]).size, helpers, ticker.tick)


def _count(
    graph: Graph, guesses: list[Floats] | None, scope: Scope, settings: Settings, known: Known, sure: Bools
) -> Sums:
    """The sums of the points that count and are ``sure`` (N,)."""
    sampled = scope.sampled is not None and bool(known.get("sampled", True))
    rows = scope.counted & sure
    if sampled and scope.sampled is not None:
        rows &= scope.sampled
    # A frame that is given is the unit; all tiles tell the same.
    spacings = graph.own.numpy()[rows] if settings.frame is None else np.array([settings.frame.scale])
    pair = None if guesses is None else (guesses[0][rows], guesses[1][rows])
    return level.count(spacings, pair, int(rows.sum()), sampled)


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
    scope = Scope.of(xyz, None)
    with helping(threads()) as helpers:
        blocks = Blocks(len(scope.points), PATCHES["blocks"].size, helpers)
        silent = _Ticker(len(scope.points))
        known, _ = (model or Default.load())._learned(search(scope.points), scope, Settings(), blocks, silent)
    return float(known["noise"])


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
