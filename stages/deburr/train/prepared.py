"""Examples made ready for a step: all that needs no gradient, as arrays that go to another process or into a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deburr.core.arrays import Floats
from deburr.core.errors import ReadError
from deburr.core.files import replacing
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.far import look_far
from deburr.nn.deburr.inputs import NOISE_FLOOR, Scene
from deburr.nn.deburr.planes import Graph, Planes, build_graph, fit_planes, spread
from deburr.nn.deburr.thinned import copies
from deburr.nn.level import MORE_STEPS, STEP_LEVEL, widening
from deburr.nn.points import canonical
from deburr.train import level
from deburr.train.examples import Example
from deburr.train.level import Judged, judged
from deburr.train.matching import places_around
from deburr.train.outcome import outcome
from deburr.train.recipe import Recipe
from deburr.train.scene import CleanScene, Surface, displacement_target

Arrays = Mapping[str, npt.NDArray[Any]]

#: Spread of the logarithm of the level that the network is told: an estimate is never exact.
_TOLD_ERROR = 0.15
#: Hops over which the level that the network is told is averaged: who denoises cannot know it of single points.
_TOLD_HOPS = 4
#: Share of the scenes that are denoised once before they are learnt from which are denoised twice.
_TWICE = 0.35


@dataclass(frozen=True)
class Prepared:
    """What one step learns from a scene of N points, in spacings.

    scene : what the network sees.
    example : the scene's points and levels; its truth where it is to be denoised once before it is learnt from.
    objective : the recipe's.
    surface, home : (N, 3) float32, the ways to the nearest clean place and to the one that the objective asks for.
    unit : (N, 1) float32, what the errors are measured in: the noise before any pass, or the least that counts.
    told : the level that the network is told over the true one.
    passes : how often it is to be denoised first; again : whether it was.
    judged : what the noise network sees; None where it is not trained.
    scored : whether the ways are there, which the score network learns from.
    around : (N, P, 3) float32, the places around each point at which its score is judged without any truth, minus the
        point; None where it is held to the ways (see `deburr.train.matching`).
    """

    scene: Scene
    example: Example
    objective: str
    surface: Tensor
    home: Tensor
    unit: Tensor
    told: float
    passes: int
    again: bool = False
    judged: Judged | None = None
    scored: bool = True
    around: Tensor | None = None


def see(points: Floats, level: Floats, scored: bool = True) -> Scene:
    """What the networks see of ``points`` (N, 3) at noise levels (N,), float64; the noise network alone sees less than
    where points are ``scored``."""
    graph = build_graph(points, unit=1.0)
    planes = fit_planes(graph, widening(float(np.median(level))) if scored else 1)
    if scored:
        look_far(planes, graph, copies(graph))
    around = spread(graph, torch.from_numpy(level)[:, None] ** 2, _TOLD_HOPS, Blocks(len(level)))[:, 0].sqrt()
    return Scene(graph, planes, torch.maximum(around.float(), NOISE_FLOOR * graph.spacing))


def _unit(level: Floats, scene: Scene, told: float) -> Tensor:
    """(N, 1) float32: between each point's noise (N,) and that around it, or the least that counts.

    By its own alone, a good point among bad ones would outvote them; by theirs, it would be moved as they are.
    """
    between = (torch.from_numpy(level).float() * scene.noise / told).sqrt()
    return torch.maximum(between, NOISE_FLOOR * scene.graph.spacing)[:, None]


def prepare(example: Example, recipe: Recipe, number: int) -> Prepared:
    """``example``, number ``number`` of the run, as the network sees it, its points along a curve."""
    rng = np.random.default_rng([recipe.seed, 4, number])
    example, told = _sorted(example), float(np.exp(rng.normal(0, _TOLD_ERROR)))
    scores = "score" in recipe.networks
    # From half of the noise on that asks for a step more: it may be taken for more than it is.
    asks = [example.typical > limit / 2 for limit in MORE_STEPS]
    passes = int(scores and not recipe.files_alone and rng.random() < recipe.second_pass and asks[0])
    passes += passes and asks[1] and rng.random() < _TWICE
    scene, seen = see(example.points, example.level * told, scores), None
    if "noise" in recipe.networks and not example.guessed:
        planes = scene.planes if scene.planes.wider == 1 else fit_planes(scene.graph)
        seen = judged(example.points, scene.graph, planes, example.truth, example.level)
        if recipe.outcome:
            seen = replace(seen, outcome=outcome(example, scene.graph, seen.thinned.rows, number))
    nowhere = torch.zeros(len(example.points), 3)
    ways = targets(example, recipe.objective) if scores else (nowhere, nowhere)
    unit = _unit(example.level, scene, told)
    around = None if example.held is None else places_around(example.points, example.held)
    known = (scene, example, recipe.objective, *ways, unit, told, int(passes))
    return Prepared(*known, judged=seen, scored=scores, around=around)


def passed(prepared: Prepared, score: Floats) -> Prepared:
    """The same after its points have moved by ``score`` (N, 3): what the next step sees."""
    example = prepared.example
    example = replace(example, points=example.points + score, level=STEP_LEVEL * example.level)
    scene = see(example.points, example.level * prepared.told)
    surface, home = targets(example, prepared.objective)
    passes = prepared.passes - 1
    return replace(prepared, scene=scene, example=example, surface=surface, home=home, passes=passes, again=True)


def targets(example: Example, objective: str) -> tuple[Tensor, Tensor]:
    """The displacements (N, 3) float32 to the surface, and to the place that the objective asks for."""
    if example.guessed:
        home = _target(example, "denoising")
        return home, home
    return _target(example, "score"), _target(example, objective)


def _target(example: Example, objective: str) -> Tensor:
    return torch.from_numpy(displacement_target(example.truth, example.points, objective)).float()


def _sorted(example: Example) -> Example:
    """Its different points along a Z-order curve: neighbours are near in memory, and scans may hold twins."""
    points, back = canonical(example.points)
    rows = np.empty(len(points), dtype=np.intp)
    rows[back[::-1]] = np.arange(len(back))[::-1]
    truth = example.truth
    truth = CleanScene(truth.points[rows], truth.solitary[rows], truth.surface)
    return replace(example, truth=truth, points=points, level=example.level[rows])


def to_arrays(prepared: Prepared) -> dict[str, npt.NDArray[Any]]:
    """All of it. The surface's samples are left out where no second pass asks for them: they are most of it."""
    scene, example, truth = prepared.scene, prepared.example, prepared.example.truth
    graph, planes = scene.graph, scene.planes
    tensors = {
        **{name: getattr(graph, name) for name in ("neighbors", "window", "spacing", "own")},
        **{name: getattr(planes, name) for name in ("means", "normals", "variances")},
        **{"graph_points": graph.points, "noise": scene.noise, "to_surface": prepared.surface, "home": prepared.home},
        "unit": prepared.unit,
    }
    dense = truth.surface if prepared.passes else Surface(np.empty((0, 3)), np.empty((0, 3)))
    return {
        **{name: tensor.numpy() for name, tensor in tensors.items()},
        **{"points": example.points, "level": example.level, "clean": truth.points, "solitary": truth.solitary},
        "dense": dense.points.astype(np.float32),
        "dense_normals": dense.normals.astype(np.float32),
        "wider": np.array(planes.wider),
        "told": np.array(prepared.told),
        "passes": np.array(prepared.passes),
        "guessed": np.array(example.guessed),
        "scored": np.array(prepared.scored),
        **({} if prepared.judged is None else level.to_arrays(prepared.judged)),
        **({} if prepared.around is None else {"around": prepared.around.numpy()}),
        "objective": np.array(prepared.objective),
    }


def from_arrays(arrays: Arrays) -> Prepared:
    """What `to_arrays` was given, before any pass."""
    tensors = {
        name: torch.from_numpy(arrays[name])
        for name in ("neighbors", "window", "spacing", "own", "means", "normals", "variances", "graph_points", "noise")
    }
    names = ("graph_points", "neighbors", "window", "spacing", "own")
    graph = Graph(1.0, *(tensors[name] for name in names))
    planes = Planes(tensors["means"], tensors["normals"], tensors["variances"], int(arrays["wider"]))
    surface = Surface(arrays["dense"].astype(np.float64), arrays["dense_normals"].astype(np.float64))
    truth = CleanScene(arrays["clean"], arrays["solitary"], surface)
    example = Example(truth, arrays["points"], arrays["level"], bool(arrays["guessed"]))
    to_surface, home, unit = (torch.from_numpy(arrays[name]) for name in ("to_surface", "home", "unit"))
    scene, objective = Scene(graph, planes, tensors["noise"]), str(arrays["objective"])
    told, passes, seen = float(arrays["told"]), int(arrays["passes"]), level.from_arrays(arrays)
    around = torch.from_numpy(arrays["around"]) if "around" in arrays else None
    known = (scene, example, objective, to_surface, home, unit, told, passes)
    return Prepared(*known, judged=seen, scored=bool(arrays["scored"]), around=around)


def write(path: str | Path, prepared: Prepared) -> None:
    """Raises `WriteError`."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **to_arrays(prepared))  # type: ignore[arg-type]


def read(path: str | Path, recipe: Recipe) -> dict[str, npt.NDArray[Any]]:
    """The arrays in a file of `write`, made for the networks of ``recipe``, and the score network's for its objective.
    Raises `ReadError`."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            arrays = dict(kept)
        found = from_arrays(arrays)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ReadError(f"{path}: no prepared training scene; prepare it with --prepare, or leave it out") from error
    if found.objective != recipe.objective and "score" in recipe.networks:
        raise ReadError(
            f"{path}: was prepared for objective '{found.objective}', not '{recipe.objective}'; prepare it again"
        )
    for network, there in (("score", found.scored), ("noise", found.judged is not None or found.example.guessed)):
        if network in recipe.networks and not there:
            raise ReadError(f"{path}: was prepared without what network '{network}' learns from; prepare it again")
    return arrays
