"""The training loop: score matching at many noise levels, with an average of the weights as the result."""

from __future__ import annotations

import json
import logging
import time
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deburr.core.errors import RunError
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.nn.default import Default
from deburr.nn.device import torch_device
from deburr.nn.inputs import NOISE_FLOOR, Scene
from deburr.nn.layer import Sizes
from deburr.nn.level import SECOND_STEP, STEP_LEVEL
from deburr.nn.network import ScoreNetwork
from deburr.nn.noise_network import NoiseNetwork, pooled_noise
from deburr.train.examples import Example, Pool, batches, see, target
from deburr.train.recipe import Recipe

log = logging.getLogger(__name__)

_AVERAGE = 0.998
#: What a first pass leaves is a fraction of the noise; this weight lets both passes count.
_SECOND = 3.0
#: Weight of the way along the surface, which is mostly chance.
_OWN = 0.3
#: Weight of examples whose truth is guessed, which is mostly chance as well.
_GUESSED = 0.3
#: How often the noise is to be read from planes of another width than it asks for: estimates start at the narrowest.
_OTHER_WIDTH = 0.4
#: Spread of the logarithm of the level that the network is told: an estimate is never exact.
_TOLD_ERROR = 0.15
_CHECKPOINT_SECONDS = 60.0


class Trainer:
    """Networks, their averages, the optimiser and how far the run has come."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        torch.set_num_threads(recipe.threads or threads())
        self.recipe = recipe
        sizes = Sizes(channels=recipe.channels, heads=recipe.heads, layers=recipe.layers)
        self.device = torch_device(recipe.device)
        self.networks = torch.nn.ModuleDict({"score": ScoreNetwork(sizes), "noise": NoiseNetwork()}).to(self.device)
        self.begin_average()
        trained = [p for name in recipe.networks for p in self.networks[name].parameters()]
        self.optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=1e-4)
        self.step, self.seconds = 0, 0.0

    def learn(self, examples: list[Example], rng: np.random.Generator) -> dict[str, float]:
        """One step of gradient descent on a batch; the mean losses."""
        share = min(self.seconds / (60 * self.recipe.minutes), 1.0)
        warm = min(1.0, (self.step + 1) / 100)
        for group in self.optimizer.param_groups:
            group["lr"] = float(self.recipe.learning_rate * warm * (0.5 + 0.5 * np.cos(np.pi * share)) + 1e-6)
        figures: dict[str, float] = {}
        self.optimizer.zero_grad()
        # One scene after another: together they would be no faster, and each may be seen at a width of its own.
        for example in examples:
            losses = self._losses(example, rng)
            (sum(losses.values()) / len(examples)).backward()  # type: ignore[union-attr]
            for name, loss in losses.items():
                figures[name] = figures.get(name, 0.0) + loss.item() / len(examples)
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(_AVERAGE, self.step / (self.step + 10))
        for name, value in self.networks.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)
        return figures

    def _losses(self, example: Example, rng: np.random.Generator) -> dict[str, Tensor]:
        told = example.level * float(np.exp(rng.normal(0, _TOLD_ERROR)))
        wider = None
        if "noise" in self.recipe.networks and rng.random() < _OTHER_WIDTH:
            wider = int(rng.choice([1, 1, 2, 4]))
        scene = see(example.points, told, wider)
        losses = {}
        if "noise" in self.recipe.networks and not example.guessed:
            losses["noise"] = 0.2 * self._noise_loss(scene.to(self.device), example.level)
        if "score" in self.recipe.networks:
            second = rng.random() < self.recipe.second_pass and example.level > SECOND_STEP / 2
            if second:
                example = self._passed(example, scene)
                scene = see(example.points, STEP_LEVEL * told)
            losses |= self._score_losses(example, scene.to(self.device))
        return losses

    def _passed(self, example: Example, scene: Scene) -> Example:
        with torch.no_grad():
            score = self.networks["score"](scene.to(self.device))[0]
        return replace(example, points=example.points + score.cpu().double().numpy(), level=STEP_LEVEL * example.level)

    def _score_losses(self, example: Example, scene: Scene) -> dict[str, Tensor]:
        """Squared errors in units of the noise before any pass.

        What neighbours agree on is held to the clean surface, and the point's own vector to what is missing from there
        to its own clean place: the sum's best is the mean of all own places that the points allow. Held to that mean
        at once, the first would learn as slowly as the second, whose target is mostly chance. Of a guessed truth only
        the mean is known to be right, so that it can but be held to the sum.
        """
        shared, own, each = self.networks["score"].parts(scene)  # type: ignore[operator]
        level = example.first_level
        if example.guessed:
            guess = target(example, "denoising").to(self.device)
            return {"tile": _GUESSED * (((shared + own) / level - guess) ** 2).sum(1).mean()}
        surface = target(example, "score").to(self.device)
        home = target(example, self.recipe.objective).to(self.device) - surface
        importance = 1.0 if example.level == level else _SECOND
        main = ((shared / level - surface) ** 2).sum(1).mean()
        along = ((own / level - home) ** 2).sum(1).mean()
        # Every neighbour's own score at the point is held to the target as well (Luo & Hu 2021, eq. 5).
        window = torch.cat((torch.ones_like(scene.noise)[:, None], scene.graph.window), 1)
        error = ((each / level - surface[:, None]) ** 2).sum(-1).clamp_max(30.0)
        local = ((error * window).sum(1) / window.sum(1)).mean()
        return {"score": importance * main, "own": _OWN * along, "local": 0.2 * importance * local}

    def _noise_loss(self, scene: Scene, level: float) -> Tensor:
        """The noise network answers for the mean over a scene, and a little for each guess, so that none runs wild."""
        guess, weight = self.networks["noise"](scene.graph, scene.planes)
        spacing = scene.graph.spacing
        off = (pooled_noise(guess, weight, spacing) - np.log(level)).abs()
        each = (guess - (np.log(level) - spacing.log()).clamp_min(float(np.log(NOISE_FLOOR)))).abs().mean()
        loss: Tensor = off.float() + 0.1 * each
        return loss

    def begin_average(self) -> None:
        """Let the average start from the weights as they are now."""
        self.average = {k: v.clone() for k, v in self.networks.state_dict().items()}

    def state(self, chain: list[dict[str, Any]]) -> dict[str, Any]:
        """All that a resumed run needs: tensors, numbers and strings only."""
        return {
            "recipe": self.recipe.model_dump_json(),
            "chain": json.dumps(chain),
            "networks": self.networks.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, path: Path) -> list[dict[str, Any]]:
        """Go on from a checkpoint of `state`; returns the chain of runs before it. Raises `RunError`."""
        try:
            state = torch.load(path, weights_only=True, map_location=self.device)
            # Text is not compared: a checkpoint may be older than an option that its recipe does not use.
            same = Recipe.model_validate_json(state["recipe"]) == self.recipe
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, UnpicklingError) as error:
            raise RunError(f"{path}: no checkpoint of a training run; start without --resume") from error
        if not same:
            raise RunError(f"{path}: belongs to another recipe; restore that recipe, or start without --resume")
        self.networks.load_state_dict(state["networks"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        chain: list[dict[str, Any]] = json.loads(state["chain"])
        return chain

    def model(self) -> Default:
        """A copy of the networks as they are now, on the processor."""
        copy = deepcopy(self.networks).cpu().eval()
        score, noise = copy["score"], copy["noise"]
        assert isinstance(score, ScoreNetwork)
        assert isinstance(noise, NoiseNetwork)
        return Default(score, noise)

    def sizes(self) -> dict[str, int]:
        score = self.networks["score"]
        assert isinstance(score, ScoreNetwork)
        return asdict(score.sizes)


def train(trainer: Trainer, checkpoint: Path, pool: Pool, chain: list[dict[str, Any]]) -> None:
    """Train until the recipe's time is over; checkpoint every minute; log the running losses."""
    recipe = trainer.recipe
    rng = np.random.default_rng([recipe.seed, 3, trainer.step])
    before, saved = time.monotonic(), time.monotonic()
    running: dict[str, float] = {}
    for examples in batches(pool, recipe, rng):
        figures = trainer.learn(examples, rng)
        for name, value in figures.items():
            running[name] = 0.99 * running.get(name, value) + 0.01 * value
        now = time.monotonic()
        trainer.seconds += now - before
        before = now
        advance("training (seconds)", min(int(trainer.seconds), int(60 * recipe.minutes)), int(60 * recipe.minutes))
        if trainer.step % 100 == 0:
            shown = " ".join(f"{name} {value:.3f}" for name, value in running.items())
            log.info("step %d, %.1f min: %s", trainer.step, trainer.seconds / 60, shown)
        done = trainer.seconds >= 60 * recipe.minutes
        if done or now - saved > _CHECKPOINT_SECONDS:
            temporary = checkpoint.with_suffix(".tmp")
            torch.save(trainer.state(chain), temporary)
            temporary.replace(checkpoint)
            saved = now
        if done:
            return
