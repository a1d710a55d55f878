"""The default model: estimates the noise level, then climbs the score in a few steps of falling noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.errors import ReadError, SpecError
from deburr.core.horizon import Known
from deburr.core.neighbors import Indices, threads
from deburr.core.progress import advance
from deburr.core.sums import Sums, merge
from deburr.nn import level
from deburr.nn import weights as weights_file
from deburr.nn.contract import PATCHES, Denoised, Settings
from deburr.nn.deburr import BUNDLED, kernels
from deburr.nn.deburr.blocks import Blocks, Helpers, helping
from deburr.nn.deburr.chains import gathered
from deburr.nn.deburr.climb import FAR, PLANES, Climb, Climbed, Lot
from deburr.nn.deburr.layer import Sizes
from deburr.nn.deburr.network import ScoreNetwork
from deburr.nn.deburr.noise_network import FIELD_HOPS, NoiseNetwork, shown_more
from deburr.nn.deburr.planes import SCALES, Graph, in_units, search
from deburr.nn.deburr.reading import Field, Reading, read
from deburr.nn.deburr.relax import FARTHEST, relaxed
from deburr.nn.deburr.relax import WALKS as RELAXED
from deburr.nn.deburr.scope import Scope
from deburr.nn.deburr.searched import Searched
from deburr.nn.deburr.uncertainty import Evidence, Left, Regression
from deburr.nn.device import torch_device
from deburr.nn.points import count_distinct, limited
from deburr.nn.schedule import Step, steps_of

#: How often estimating the noise walks over the points.
_ESTIMATE = PLANES + NoiseNetwork.WALKS
#: Largest displacement, in standard deviations of the noise.
REACH = 3.5


@dataclass(frozen=True)
class Default:
    """The score network and the noise network, ready to run; ``remains``: tells what they leave, if that is known."""

    score: ScoreNetwork
    noise: NoiseNetwork
    remains: Left | None = None

    @classmethod
    def load(cls, path: str | None = None) -> Default:
        """The weights in ``path``, or the bundled ones. Raises `deburr.core.errors.ReadError`."""
        return _bundled() if path is None else _load(path)

    def denoise(self, xyz: Floats, settings: Settings) -> Denoised:
        """See `deburr.nn.models.Model.denoise`. Equal points of a group are denoised as one and stay equal."""
        with helping(threads()) as helpers:
            ticker = _Ticker(len(xyz))
            groups, few = self._groups(xyz, settings, helpers, ticker)
            known = {} if settings.seen is None else settings.seen.known
            if level.asks(known):
                sums = merge([_count(group, np.ones(len(group.scope.points), np.bool_), settings) for group in groups])
                known = level.learn({}, sums, settings.noise, settings.most_noise)
            unit, noise = known["spacing"], known["noise"]
            steps = planned = steps_of(known, settings.sampler, settings.steps)
            if settings.strength == 0:  # of what is not applied, nothing needs to be found
                steps = ()
            if looks := max(len(steps), int(settings.energy)):
                estimated, passes = settings.noise is None, len(steps) + settings.energy
                fits = looks - (estimated and level.widening(noise / unit) == 1)
                looks, passes, fits = (settings.samples * many for many in (looks, passes, fits))
                walks = passes * (ScoreNetwork.WALKS + len(self.score.layers)) + looks * FAR + fits * PLANES
                walks += estimated * FIELD_HOPS + bool(steps) * settings.even * RELAXED
                ticker.begin("denoising" if steps else "finding the energies", walks)
            found = [self._denoised(group, known, steps, settings) for group in groups]
        figures = {
            "noise": noise,
            "noise_source": "estimated" if settings.noise is None else "given",
            "spacing": unit,
            "steps": len(planned),
            "max_displacement": _farthest(known, settings),
        }
        searched = Searched(groups[0].scope, groups[0].graph) if len(groups) == 1 and not few.any() else None
        return replace(_assembled(xyz, groups, found, few, noise, settings), figures=figures, searched=searched)

    def _denoised(self, group: _Group, known: Known, steps: Sequence[Step], settings: Settings) -> Denoised:
        """One group of the cloud that ``known`` tells of; what it returns is of the group's points alone."""
        scope, unit, noise, count = group.scope, known["spacing"], known["noise"], len(group.scope.points)
        field, planes, kept = Field(np.full(count, noise)), None, None
        if group.reading is not None:
            # Judges see as much as an eighth of all that a cloud needs.
            reading, group.reading = group.reading, None
            field, kept = reading.field(known, group.blocks), reading.thinned.copies.numpy()
            if level.widening(noise / unit) == 1:
                planes = reading.planes.scale(reading.graph.unit / unit)
            del reading
        way, gate, normals, energy, spread = np.zeros((count, 3)), np.zeros(count), None, None, None
        extents = np.zeros((count, SCALES, 3), np.float32)
        heights = extents[..., 0]
        sure = told = None if field.sure is None else field.sure.numpy()
        if steps or settings.energy:
            # Points that are to be made even are pushed by others, of which nobody asks.
            served = replace(scope, wanted=True) if settings.even else scope
            climb = Climb(self.score, torch_device(settings.device), group.blocks, served, settings.energy, kept)
            graph = in_units(group.graph, unit, group.blocks)

            def draw(lot: Lot, first: bool) -> Climbed:
                one = replace(climb, energy=climb.energy and first)
                return one.run(graph, planes, field, known, steps, lot)

            climbed = gathered(draw, settings.seed, settings.samples if steps else 1)
            way, gate, sure = climbed.way, climbed.gate, climbed.sure
            extents, heights = climbed.extents, climbed.heights
            normals, spread = climbed.normals if settings.normals else None, climbed.spread
            if settings.energy:
                energy, told = climbed.energy, climbed.energy_sure
        limits = REACH * field.levels
        if settings.max_displacement is not None:
            limits = np.full(count, settings.max_displacement)
        left = None if spread is None else np.minimum(unit * spread, field.levels)[scope.back]
        if left is None and self.remains is not None:
            spacing = group.graph.own.numpy() / unit
            seen = Evidence(field.levels / unit, spacing, gate, extents, heights, field.odds, noise / unit)
            left = unit * _left(self.remains, seen, group.blocks)[scope.back]
        moved, along = scope.points + settings.strength * limited(unit * way, limits[:, None]), None
        if settings.even:
            moved, along, sure = self._evened(group, moved, sure, known, settings)
        return Denoised(
            moved[scope.back],
            uncertainty=left,
            settled=None if sure is None else sure[scope.back],
            level=field.levels[scope.back],
            level_settled=None if told is None else told[scope.back],
            evidence=None if field.evidence is None else field.evidence[scope.back],
            normals=None if normals is None else normals[scope.back],
            along=None if along is None else along[scope.back],
            energy=None if energy is None else energy[scope.back],
        )

    def _evened(
        self, group: _Group, moved: Floats, sure: Bools | None, known: Known, settings: Settings
    ) -> tuple[Floats, Floats, Bools | None]:
        """The points of ``group``, ``moved`` (M, 3) by the ascent, spread evenly; how far each went for that (M,); and
        (M,) bool, in a tile, of which this is as in the whole cloud, if that is so of the ``sure`` (M,) until here."""
        scope, start, along = group.scope, group.scope.points, np.zeros(len(moved))
        if not settings.strength > 0:
            return moved, along, sure
        may = np.ones(len(moved), np.bool_)
        if settings.may is not None:
            may[:] = False
            may[scope.back[settings.may[group.rows]]] = True
        # Who may not move is where it was, and pushes from there.
        before = np.where(may[:, None], moved, start)
        bound = settings.strength * _farthest(known, settings)
        way, sure = relaxed(before, may, scope, known["spacing"], sure, bound, group.blocks)
        after = before + settings.strength * way
        if settings.max_displacement is not None:
            after = start + limited(after - start, bound)
        return after, np.asarray(np.linalg.norm(after - before, axis=1)), sure

    def survey(self, xyz: Floats, settings: Settings) -> tuple[Sums, Bools]:
        """See `deburr.nn.models.Surveyor.survey`."""
        with helping(threads()) as helpers:
            groups, _ = self._groups(xyz, settings, helpers, _Ticker(len(xyz)))
        sure, sums = _alone(settings, len(xyz)), []
        for group in groups:
            reading, scope = group.reading, group.scope
            known = scope.sure(group.graph.radii()) if reading is None else reading.sure
            found = np.ones(len(scope.points), np.bool_) if known is None else known.numpy()
            sums.append(_count(group, found, settings))
            sure[group.rows] = found[scope.back]
        return merge(sums), sure

    def _groups(
        self, xyz: Floats, settings: Settings, helpers: Helpers | None, ticker: _Ticker
    ) -> tuple[list[_Group], Bools]:
        """The groups that are large enough to be looked at, as they are read, and (N,) bool, the points of the others:
        fewer different ones than a neighbourhood span no surface."""
        few, groups = np.zeros(len(xyz), np.bool_), []
        ticker.begin("estimating the noise", _ESTIMATE)
        for rows in _rows(settings.groups, len(xyz)):
            scope = Scope.of(xyz[rows], None if settings.seen is None else settings.seen.part(rows))
            if len(scope.points) < level.LEAST:
                few[rows] = True
                continue
            blocks = _blocks(scope, settings, helpers, ticker)
            graph = _graph(scope, settings, blocks)
            reading = read(self.noise, in_units(graph, None, blocks), scope, blocks) if settings.noise is None else None
            groups.append(_Group(rows, scope, graph, blocks, reading))
        return groups, few


@dataclass(eq=False)
class _Group:
    """The points ``rows`` (G,) of a cloud, which see each other alone; their graph, in cloud units; what was read, as
    long as it is needed."""

    rows: Indices
    scope: Scope
    graph: Graph
    blocks: Blocks
    reading: Reading | None


def _graph(scope: Scope, settings: Settings, blocks: Blocks) -> Graph:
    """The graph of ``scope``, in cloud units: of what was searched before, if that was all of these points."""
    if settings.earlier is None or settings.groups is not None:
        return search(scope.points, blocks)
    searched, rows = settings.earlier
    assert isinstance(searched, Searched)
    return searched.of(scope, rows)


def _left(remains: Left, seen: Evidence, blocks: Blocks) -> Floats:
    """What ``remains`` tells of N points, (N,) float64, by all threads."""
    told = np.empty(len(seen.level))

    def work(rows: slice) -> None:
        told[rows] = remains.left(seen.part(rows))

    blocks.silent(len(told)).each(work)
    return told


def _farthest(known: Known, settings: Settings) -> float:
    """How far a point may go at most, in cloud units, at a strength of 1."""
    return settings.max_displacement or REACH * known["most"] + settings.even * FARTHEST * known["spacing"]


def _rows(groups: Ints | None, count: int) -> list[Indices]:
    """The rows of each group, of ``count`` in all."""
    if groups is None:
        return [np.arange(count)]
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _alone(settings: Settings, count: int) -> Bools:
    """(N,) bool: whether ``count`` points that nobody sees are what they would be in the whole cloud."""
    horizon = None if settings.seen is None else settings.seen.horizon
    return np.full(count, horizon is None or not horizon.bounded)


def _assembled(
    xyz: Floats, groups: list[_Group], found: list[Denoised], few: Bools, noise: float, settings: Settings
) -> Denoised:
    """What was ``found`` of each group, in the rows of the cloud; the ``few`` (N,) stay."""
    if len(groups) == 1 and not few.any():
        return found[0]
    alone = _alone(settings, len(xyz)) if few.any() else np.ones(len(xyz), np.bool_)
    fresh = {
        "xyz": xyz,
        "uncertainty": np.full(len(xyz), np.nan),
        "settled": alone,
        "level": np.full(len(xyz), noise),
        "level_settled": alone,
        "evidence": np.zeros(len(xyz), np.bool_),
        "normals": np.full((len(xyz), 3), np.nan),
        "along": np.zeros(len(xyz)),
        "energy": np.full(len(xyz), np.nan),
    }
    columns: dict[str, Any] = {}
    for name, whole in fresh.items():
        told = [getattr(one, name) for one in found]
        if told[0] is not None:
            columns[name] = whole.copy()
            for group, part in zip(groups, told, strict=True):
                columns[name][group.rows] = part
    return Denoised(**columns)


def _blocks(scope: Scope, settings: Settings, helpers: Helpers | None, ticker: _Ticker) -> Blocks:
    size = (settings.patches or PATCHES["blocks"]).size
    return Blocks(len(scope.points), size, helpers, ticker.tick, kernels.wanted(scope.total))


def _count(group: _Group, sure: Bools, settings: Settings) -> Sums:
    """The sums of the points of ``group`` that count and are ``sure`` (M,)."""
    scope, known = group.scope, {} if settings.seen is None else settings.seen.known
    sampled = scope.sampled is not None and bool(known.get("sampled", True))
    rows = scope.counted & sure
    if sampled and scope.sampled is not None:
        rows &= scope.sampled
    # A frame that is given is the unit; all tiles tell the same.
    spacings = group.graph.own.numpy()[rows] if settings.frame is None else np.array([settings.frame.scale])
    guesses = None if group.reading is None else group.reading.guesses(rows)
    return level.count(spacings, guesses, int(rows.sum()), sampled)


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
    return float((model or Default.load()).denoise(xyz, Settings(strength=0.0)).figures["noise"])


def scores(xyz: Floats, noise: float | None = None, weights: str | None = None) -> Floats:
    """The score at the points ``xyz`` (N, 3) float64: (N, 3) float64, in 1 / units of the coordinates.

    It is the gradient of the logarithm of the density of which the points are a sample: with the standard deviation s
    of the noise, ``xyz + s**2 * scores(xyz)`` is where the points most likely came from, as far as the network knows.

    noise : s, in the coordinates' units; default: estimated, place by place.
    weights : a safetensors file; default: the bundled one.

    Raises `deburr.core.errors.SpecError` for what is no (N, 3) array of finite numbers, 32 different ones at least, and
    for noise that is not above 0; `deburr.core.errors.ReadError` for weights that cannot be read.
    """
    points = np.asarray(xyz, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise SpecError(f"xyz: must be an (N, 3) array of finite numbers, not of shape {points.shape}")
    if count_distinct(points, level.LEAST) < level.LEAST:
        raise SpecError(f"xyz: has fewer than {level.LEAST} different points; give more")
    if noise is not None and not 0 < noise < np.inf:
        raise SpecError(f"noise: must be above 0, not {noise:g}; leave it out to have it estimated")
    local = points - points.mean(axis=0)
    # One step, as long as the network says.
    settings = Settings(noise=noise, steps=1, max_displacement=float(np.finfo(np.float64).max))
    found = Default.load(weights).denoise(local, settings)
    assert found.level is not None
    return np.asarray((found.xyz - local) / found.level[:, None] ** 2)


@cache
def _bundled() -> Default:
    return _load(str(BUNDLED))


def _load(path: str) -> Default:
    tensors, card = weights_file.read(path, model="deburr")
    model = Default(ScoreNetwork(sizes_of(path, card)), NoiseNetwork(), Regression.of(card))
    both = torch.nn.ModuleDict({"score": model.score, "noise": model.noise})
    weights_file.fit(path, both, shown_more(tensors))
    both.eval()
    return model


def sizes_of(path: str, card: weights_file.Card) -> Sizes:
    """The network's sizes by the ``card`` of the weights ``path``. Raises `deburr.core.errors.ReadError`."""
    told = card.get("sizes")
    wanted = {field.name for field in fields(Sizes)}
    if (
        not isinstance(told, dict)
        or told.keys() != wanted
        or not all(type(n) is int and 0 < n < 4096 for n in told.values())
    ):
        raise ReadError(f"{path}: its card does not tell the network's sizes; {weights_file.REMEDY} that is sound")
    return Sizes(**told)
