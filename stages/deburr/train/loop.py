"""The training loop: score matching at many noise levels, with an average of the weights as the result."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deburr.core.errors import DeburrWarning, RunError
from deburr.core.files import replacing
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.nn.deburr.default import Default
from deburr.nn.deburr.inputs import Scene
from deburr.nn.deburr.layer import Sizes
from deburr.nn.deburr.network import ScoreNetwork
from deburr.nn.deburr.noise_network import NoiseNetwork
from deburr.nn.device import torch_device
from deburr.train import level, matching, mirror, validate
from deburr.train.checkpoint import load_optimizer, read_state, seal
from deburr.train.curves import Curves
from deburr.train.fused import FusedNetwork
from deburr.train.prepared import Prepared, passed, see
from deburr.train.recipe import Recipe

log = logging.getLogger(__name__)

_AVERAGE = 0.998
#: What a first pass leaves is a fraction of the noise; this weight lets later passes count.
_LATER = 3.0
#: Weight of the way along the surface, which is mostly chance.
_OWN = 0.3
#: Weight of examples whose truth is guessed, which is mostly chance as well.
_GUESSED = 0.3
_CHECKPOINT_SECONDS = 60.0
#: So many steps after each other without a finite gradient are no accident.
_LOST = 20
#: Steps between two rows of losses.
_ROW = 100


class Trainer:
    """Networks, their averages, the optimiser and how far the run has come."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        torch.set_num_threads(recipe.threads or threads())
        self.recipe = recipe
        sizes = Sizes(channels=recipe.channels, heads=recipe.heads, layers=recipe.layers)
        self.device = torch_device(recipe.device)
        self.networks = torch.nn.ModuleDict({"score": self._score(sizes), "noise": NoiseNetwork()}).to(self.device)
        self.begin_average()
        trained = [p for name in recipe.networks for p in self.networks[name].parameters()]
        self.optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=1e-4)
        self.step, self.seconds, self.points = 0, 0.0, 0
        self.running: dict[str, float] = {}
        self.lost = 0

    def _score(self, sizes: Sizes) -> ScoreNetwork:
        if self.recipe.kernels == "torch":
            log.info("kernels: torch")
            return ScoreNetwork(sizes)
        if self.device.type != "cpu":
            raise RunError("kernels 'compiled' is for the processor alone; use device 'cpu', or kernels 'torch'")
        log.info("kernels: compiled")
        return FusedNetwork(sizes)

    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        steps, minutes = self.recipe.steps, self.recipe.minutes
        return min(self.step / steps if steps else self.seconds / (60 * (minutes or 1)), 1.0)

    def learn(self, batch: Sequence[Prepared]) -> dict[str, float]:
        """One step of gradient descent on a batch; the mean losses."""
        share = self.share()
        warm = min(1.0, (self.step + 1) / 100)
        for group in self.optimizer.param_groups:
            group["lr"] = float(self.recipe.learning_rate * warm * (0.5 + 0.5 * np.cos(np.pi * share)) + 1e-6)
        figures: dict[str, float] = {}
        self.optimizer.zero_grad()
        # One scene after another: together they would be no faster, and each may be seen at a width of its own.
        for prepared in batch:
            losses = self._losses(prepared)
            self.points += len(prepared.surface)
            if not losses:
                continue
            (sum(losses.values()) / len(batch)).backward()  # type: ignore[union-attr]
            for name, loss in losses.items():
                figures[name] = figures.get(name, 0.0) + loss.item() / len(batch)
        length = torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        self.step += 1
        if not bool(length.isfinite()):
            # One such step would make all weights NaN.
            self._lose()
            return figures
        self.lost = 0
        self.optimizer.step()
        keep = min(_AVERAGE, self.step / (self.step + 10))
        for name, value in self.networks.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)
        for name, figure in figures.items():
            self.running[name] = 0.99 * self.running.get(name, figure) + 0.01 * figure
        return figures

    def _lose(self) -> None:
        self.lost += 1
        warnings.warn(f"step {self.step}: its gradient is not finite; it is left out", DeburrWarning, stacklevel=3)
        if self.lost == _LOST:
            raise RunError(
                f"{_LOST} steps up to {self.step} have no finite gradient; lower the option 'learning_rate', or "
                "leave out the scenes or files that have such numbers"
            )

    def _losses(self, prepared: Prepared) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        scene = _sent(prepared.scene, self.device)
        if prepared.judged is not None:
            losses |= level.losses(self.networks["noise"], scene.graph, prepared.judged)  # type: ignore[arg-type]
            if "outcome" in losses:
                losses["outcome"] = self.recipe.outcome * losses["outcome"]
        if "score" in self.recipe.networks:
            while prepared.passes:
                with torch.no_grad():
                    score = self.networks["score"](scene)[0]
                prepared = passed(prepared, score.cpu().double().numpy())
                scene = _sent(prepared.scene, self.device)
            losses |= self._score_losses(prepared, scene)
        return losses

    def _score_losses(self, prepared: Prepared, scene: Scene) -> dict[str, Tensor]:
        """Squared errors in ``Prepared.unit``.

        What neighbours agree on is held to the clean surface, and the point's own vector to what is missing from there
        to its own clean place: the sum's best is the mean of all own places that the points allow. Held to that mean
        at once, the first would learn as slowly as the second, whose target is mostly chance. Of a guessed truth only
        the mean is known to be right, so that it can but be held to the sum.
        """
        if prepared.around is not None:
            around, level = prepared.around.to(self.device), torch.from_numpy(prepared.example.level).to(self.device)
            way = self.networks["score"].fields(scene)  # type: ignore[operator]
            return {"match": matching.loss(way, around, matching.windows(scene.graph), level.float())}
        if prepared.objective == "mirror":
            return {"mirror": self._mirror_loss(prepared, scene)}
        shared, own, each = self.networks["score"].parts(scene)  # type: ignore[operator]
        example, level = prepared.example, prepared.unit.to(self.device)
        home = prepared.home.to(self.device) / level
        if example.guessed:
            there = home.isfinite().all(1)  # where anything is guessed
            error = ((shared + own) / level - home)[there]
            return {"tile": _GUESSED * (error**2).sum() / max(len(error), 1)}
        surface = prepared.surface.to(self.device) / level
        importance = _LATER if prepared.again else 1.0
        main = ((shared / level - surface) ** 2).sum(1).mean()
        along = ((own / level - (home - surface)) ** 2).sum(1).mean()
        # Every neighbour's own score at the point is held to the target as well (Luo & Hu 2021, eq. 5).
        window = torch.cat((torch.ones_like(scene.noise)[:, None], scene.graph.window), 1)
        error = ((each / level[:, None] - surface[:, None]) ** 2).sum(-1).clamp_max(30.0)
        local = ((error * window).sum(1) / window.sum(1)).mean()
        return {"score": importance * main, "own": _OWN * along, "local": 0.2 * importance * local}

    def _mirror_loss(self, prepared: Prepared, scene: Scene) -> Tensor:
        """See `deburr.train.mirror`."""
        example, network = prepared.example, self.networks["score"]
        assert isinstance(network, ScoreNetwork)
        level = torch.from_numpy(example.level).float().to(self.device)
        way = sum(network.parts(scene)[:2])
        assert isinstance(way, Tensor)
        normals, on = mirror.surface(scene, level)
        image = see(mirror.mirrored(example.points, way, normals, on), example.level * prepared.told)
        back = sum(network.parts(_sent(image, self.device))[:2])
        assert isinstance(back, Tensor)
        return mirror.loss(way, back, normals, on, level, scene.graph)

    def begin_average(self) -> None:
        """Let the average start from the weights as they are now."""
        self.first = {k: v.clone() for k, v in self.networks.state_dict().items()}
        self.average = {k: v.clone() for k, v in self.first.items()}

    def result(self) -> dict[str, Tensor]:
        """The weights that the run is for: their average, as much of it as the recipe's ``blend`` says."""
        return {
            k: v if self.recipe.blend == 1 else self.first[k].lerp(v, self.recipe.blend)
            for k, v in self.average.items()
        }

    def state(self, chain: list[dict[str, Any]]) -> dict[str, Any]:
        """All that a resumed run needs: tensors, numbers and strings only."""
        return {
            "recipe": self.recipe.model_dump_json(),
            "chain": json.dumps(chain),
            "networks": self.networks.state_dict(),
            "first": self.first,
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "points": self.points,
            "running": self.running,
        }

    def save(self, checkpoint: Path, chain: list[dict[str, Any]]) -> None:
        """Write all that a resumed run needs. Raises `WriteError`."""
        with replacing(checkpoint) as temporary:
            torch.save(seal(self.state(chain)), temporary)

    def restore(self, path: Path) -> list[dict[str, Any]]:
        """Go on from a checkpoint of `state`; returns the chain of runs before it. Raises `RunError`."""
        state = read_state(path, self.networks.state_dict(), self.device)
        try:
            # Text is not compared: a checkpoint may be older than an option that its recipe does not use.
            same = Recipe.model_validate_json(state["recipe"]) == self.recipe
        except ValueError as error:
            raise RunError(f"{path}: no checkpoint of a training run; start without --resume") from error
        if not same:
            raise RunError(f"{path}: belongs to another recipe; restore that recipe, or start without --resume")
        load_optimizer(path, self.optimizer, state["optimizer"])
        self.networks.load_state_dict(state["networks"])
        # Older checkpoints are of runs of which all is kept.
        self.average = state["average"]
        self.first = state.get("first") or self.average
        self.points, self.running = state["points"], dict(state["running"])
        self.step, self.seconds = state["step"], state["seconds"]
        return list(state["chain"])

    def model(self, average: bool = False) -> Default:
        """A copy of the networks as they are now, or of what the run is for so far, on the processor."""
        score, noise = ScoreNetwork(Sizes(**self.sizes())), NoiseNetwork()
        both = torch.nn.ModuleDict({"score": score, "noise": noise})
        both.load_state_dict(self.result() if average else self.networks.state_dict())
        both.eval()
        return Default(score, noise)

    def sizes(self) -> dict[str, int]:
        score = self.networks["score"]
        assert isinstance(score, ScoreNetwork)
        return asdict(score.sizes)


def _sent(scene: Scene, device: torch.device) -> Scene:
    """``scene`` on ``device``."""
    return scene if device.type == "cpu" else scene.to(device)


def train(
    trainer: Trainer, checkpoint: Path, scenes: Iterator[Prepared], chain: list[dict[str, Any]], curves: Curves
) -> None:
    """Train until the recipe's steps or time are over; checkpoint every minute; keep the losses and validation."""
    recipe = trainer.recipe
    before = saved = time.monotonic()
    while trainer.share() < 1:
        trainer.learn(list(islice(scenes, recipe.batch)))
        now = time.monotonic()
        trainer.seconds += now - before
        _tell(trainer)
        done, look = trainer.share() == 1, trainer.step % recipe.validate_every == 0
        if done or look or trainer.step % _ROW == 0:
            curves.add(trainer.step, trainer.seconds, trainer.points, trainer.running)
            _log(trainer)
            if look and not done:  # the result is validated anyway
                curves.validated(validate.validate(trainer.model(average=True)))
                curves.draw()
            curves.write()
        if look or done or now - saved > _CHECKPOINT_SECONDS:
            trainer.save(checkpoint, chain)
            saved = time.monotonic()
        before = time.monotonic()


def _tell(trainer: Trainer) -> None:
    steps = trainer.recipe.steps
    if steps:
        advance("training (steps)", trainer.step, steps)
    else:
        seconds = int(60 * (trainer.recipe.minutes or 0))
        advance("training (seconds)", min(int(trainer.seconds), seconds), seconds)


def _log(trainer: Trainer) -> None:
    shown = " ".join(f"{name} {value:.3f}" for name, value in trainer.running.items())
    rate = trainer.points / max(trainer.seconds, 1e-9)
    log.info("step %d, %.1f min, %.0f points/s: %s", trainer.step, trainer.seconds / 60, rate, shown)
