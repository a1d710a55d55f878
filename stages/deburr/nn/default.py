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
from deburr.nn.noise_network import NoiseNetwork
from deburr.nn.planes import HOPS, Graph, Planes, fit_planes, in_units, search
from deburr.nn.points import limited
from deburr.nn.reading import Field, Reading, read
from deburr.nn.scope import Scope
from deburr.nn.uncertainty import Left, Table

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
    """The score network and the noise network, ready to run; ``table``: what they leave, if that is known."""

    score: ScoreNetwork
    noise: NoiseNetwork
    table: Left | None = None

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
            reading = None
            if settings.noise is None:
                reading = self._read(found, scope, blocks, ticker)
            known = {} if settings.seen is None else settings.seen.known
            if level.asks(known):
                known = _learned(found, reading, scope, settings)
            unit, noise = known["spacing"], known["noise"]
            steps, wider = settings.steps or level.steps(known), level.widening(noise / unit)
            planes = None
            if reading is not None and wider == 1:
                planes = reading.planes.scaled(reading.graph.unit / unit)
            if reading is None:
                field = Field(np.full(len(scope.points), noise))
            else:
                field = reading.field(noise, known["most"], blocks)
            way, gate = np.zeros((len(scope.points), 3)), np.zeros(len(scope.points))
            sure = None if field.sure is None else field.sure.numpy()
            if settings.strength > 0:  # of what is not applied, nothing needs to be found
                fits = steps - (planes is not None)
                ticker.begin("denoising", steps * (ScoreNetwork.WALKS + len(self.score.layers)) + fits * _PLANES)
                climb = _Climb(self.score, torch_device(settings.device), blocks, scope)
                way, gate, sure = climb.run(in_units(found, unit), planes, field, known, steps)
        limits = REACH * field.levels
        if settings.max_displacement is not None:
            limits = np.full(len(limits), settings.max_displacement)
        figures = {
            "noise": noise,
            "noise_source": "estimated" if settings.noise is None else "given",
            "spacing": unit,
            "steps": steps,
            "max_displacement": settings.max_displacement or REACH * known["most"],
        }
        left = None
        if self.table is not None:
            left = self.table.left(field.levels, found.own.numpy(), gate, field.odds)[scope.back]
        moved = scope.points + settings.strength * limited(unit * way, limits[:, None])
        return Denoised(
            moved[scope.back],
            figures,
            uncertainty=left,
            settled=None if sure is None else sure[scope.back],
            level=field.levels[scope.back],
            level_settled=None if field.sure is None else field.sure.numpy()[scope.back],
            evidence=None if field.evidence is None else field.evidence[scope.back],
        )

    def survey(self, xyz: Floats, settings: Settings) -> tuple[Sums, Bools]:
        """See `deburr.nn.models.Surveyor.survey`."""
        scope = Scope.of(xyz, settings.seen)
        graph = search(scope.points)
        reading, sure = None, scope.sure(graph.radii())
        if settings.noise is None:
            with helping(threads()) as helpers:
                ticker = _Ticker(len(scope.points))
                reading = self._read(graph, scope, _blocks(scope, settings, helpers, ticker), ticker)
                sure = reading.sure
        found = np.ones(len(scope.points), np.bool_) if sure is None else sure.numpy()
        return _count(graph, reading, scope, settings, found), found[scope.back]

    def _read(self, found: Graph, scope: Scope, blocks: Blocks, ticker: _Ticker) -> Reading:
        ticker.begin("estimating the noise", _ESTIMATE)
        return read(self.noise, in_units(found, None), scope, blocks)


@dataclass(frozen=True)
class _Climb:
    """The ascent along the score."""

    network: ScoreNetwork
    device: torch.device
    blocks: Blocks
    scope: Scope

    def run(
        self, graph: Graph, planes: Planes | None, field: Field, known: Known, steps: int
    ) -> tuple[Floats, Floats, Bools | None]:
        """The way of every point (N, 3) in ``steps`` steps, in the graph's units, the first step's gates (N,), and in a
        tile which points are sure (N,). ``planes``: the first step's, if they are known."""
        # One thread feeds a GPU.
        fed = self.blocks if self.device.type == "cpu" else replace(self.blocks, helpers=None)
        start, unit = graph.points.numpy(), graph.unit
        now, first, sure = start, np.empty(0), self.scope.sure(graph.radii())
        for step in range(steps):
            share, last = level.STEP_LEVEL**step, step == steps - 1
            told, wider = share * field.levels / unit, level.widening(share * known["noise"] / unit)
            if step:
                graph, planes = in_units(search(now), 1.0), None
                if sure is not None:
                    world = self.scope.points + unit * (now - start)
                    sure = self.scope.sure_again(world, unit * graph.radii(), sure, LIMIT * known["most"])
            wanted = None
            if sure is not None:
                sure = self._proved(graph, sure, field.sure, wider)
                # The last step serves the points that are wanted; steps before it all that these may see.
                wanted = sure & torch.as_tensor(self.scope.wanted) if last else sure
                if not bool(wanted.any()):
                    # Nothing can be told from what is seen here, and more is to be read.
                    return np.zeros_like(start), np.zeros(len(start)), np.zeros(len(start), np.bool_)
            planes = planes or fit_planes(graph, wider, self.blocks, self._seen(graph, wanted))
            floor = torch.maximum(NOISE_FLOOR * graph.spacing, torch.from_numpy(told).float())
            score, gate = (part.double().numpy() for part in self._score(Scene(graph, planes, floor), fed, wanted))
            # What the network may do to points far from all others is more than the noise could.
            now, first = now + limited(score, LIMIT * told[:, None]), first if step else gate
        return now - start, first, None if wanted is None else wanted.numpy()

    def _proved(self, graph: Graph, sure: Tensor, told: Tensor | None, wider: int) -> Tensor:
        """(N,) bool: the points that see none but ``sure`` (N,) ones through planes, and through layers and ensemble
        none but those and such as are ``told`` (N,) their level as in the whole cloud."""
        sure = graph.inner(sure, level.seen(max(HOPS) * wider) - 1, self.blocks)
        if told is not None:
            sure = sure & told
        return graph.inner(sure, len(self.network.layers) + 1, self.blocks)

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


def _learned(found: Graph, reading: Reading | None, scope: Scope, settings: Settings) -> Known:
    """What all points of a whole cloud tell of it."""
    everything = np.ones(len(scope.points), np.bool_)
    return level.learn({}, _count(found, reading, scope, settings, everything), settings.noise, settings.most_noise)


def _count(graph: Graph, reading: Reading | None, scope: Scope, settings: Settings, sure: Bools) -> Sums:
    """The sums of the points that count and are ``sure`` (N,)."""
    known = {} if settings.seen is None else settings.seen.known
    sampled = scope.sampled is not None and bool(known.get("sampled", True))
    rows = scope.counted & sure
    if sampled and scope.sampled is not None:
        rows &= scope.sampled
    # A frame that is given is the unit; all tiles tell the same.
    spacings = graph.own.numpy()[rows] if settings.frame is None else np.array([settings.frame.scale])
    return level.count(spacings, None if reading is None else reading.guesses(rows), int(rows.sum()), sampled)


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
    graph = search(scope.points)
    with helping(threads()) as helpers:
        blocks = Blocks(len(scope.points), PATCHES["blocks"].size, helpers)
        reading = (model or Default.load())._read(graph, scope, blocks, _Ticker(len(scope.points)))
    return float(_learned(graph, reading, scope, Settings())["noise"])


@cache
def _bundled() -> Default:
    return _load(str(BUNDLED))


def _load(path: str) -> Default:
    tensors, card = weights_file.read(path, model="deburr")
    model = Default(ScoreNetwork(_sizes(path, card)), NoiseNetwork(), Table.of(card))
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
