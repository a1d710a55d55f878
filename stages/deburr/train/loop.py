"""The training loop: score matching at many noise levels, with an average of the weights as the result."""

from __future__ import annotations

import json
import logging
import time
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
from deburr.nn.default import SECOND_STEP, STEP_LEVEL
from deburr.nn.device import torch_device
from deburr.nn.network import NOISE_FLOOR, Scene, ScoreNetwork, Sizes
from deburr.nn.noise_network import NoiseNetwork, pooled_noise
from deburr.nn.planes import widening
from deburr.train.examples import Example, Pool, batches, merged, see, target
from deburr.train.recipe import Recipe

log = logging.getLogger(__name__)

_AVERAGE = 0.998
#: What a first pass leaves is a fraction of the noise; this weight lets both passes count.
_SECOND = 3.0
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
        # Planes are as wide as the noise asks for, and sometimes wider or narrower: estimates start with the narrowest.
        told = [e.level * float(np.exp(rng.normal(0, _TOLD_ERROR))) for e in examples]
        wider = widening(told[0]) if rng.random() < 0.75 else int(rng.choice([1, 1, 2, 4]))
        scenes, levels = [], []
        for index, example in enumerate(examples):
            scene = see(example.points, told[index], wider)
            if rng.random() < self.recipe.second_pass * (example.level > SECOND_STEP / 2):
                examples[index] = example = self._passed(example, scene)
                scene = see(example.points, STEP_LEVEL * told[index], wider)
            scenes.append(scene)
            levels.append(torch.full((len(example.points),), example.first_level))
        truth = torch.cat([target(e, self.recipe.objective) for e in examples])
        fresh = torch.tensor([e.level == e.first_level for e in examples])
        loss, figures = self._loss(
            merged(scenes).to(self.device),
            *(part.to(self.device) for part in (torch.cat(levels), truth, fresh)),
            [len(e.points) for e in examples],
        )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(_AVERAGE, self.step / (self.step + 10))
        for name, value in self.networks.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)
        return figures

    def _passed(self, example: Example, scene: Scene) -> Example:
        with torch.no_grad():
            score = self.networks["score"](scene.to(self.device))[0]
        return replace(example, points=example.points + score.cpu().double().numpy(), level=STEP_LEVEL * example.level)

    def _loss(
        self, scene: Scene, level: Tensor, truth: Tensor, fresh: Tensor, counts: list[int]
    ) -> tuple[Tensor, dict[str, float]]:
        losses: dict[str, Tensor] = {}
        if "score" in self.recipe.networks:
            score, _, each = self.networks["score"](scene)
            importance = torch.where(fresh, 1.0, _SECOND).repeat_interleave(torch.tensor(counts, device=fresh.device))
            losses["score"] = (((score / level[:, None] - truth) ** 2).sum(1) * importance).mean()
            # Every neighbour's own score at the point is held to the target as well (Luo & Hu 2021, eq. 5).
            window = torch.cat((torch.ones_like(level)[:, None], scene.graph.window), 1)
            error = ((each / level[:, None, None] - truth[:, None]) ** 2).sum(-1).clamp_max(30.0)
            losses["local"] = 0.2 * ((error * window).sum(1) / window.sum(1) * importance).mean()
        if "noise" in self.recipe.networks:
            losses["noise"] = 0.2 * self._noise_loss(scene, level, fresh, counts)
        return sum(losses.values(), level.new_zeros(())), {name: loss.item() for name, loss in losses.items()}

    def _noise_loss(self, scene: Scene, level: Tensor, fresh: Tensor, counts: list[int]) -> Tensor:
        """The noise network answers for the mean over a scene, and a little for each guess, so that none runs wild."""
        guess, weight = self.networks["noise"](scene.graph, scene.planes)
        parts = zip(*(p.split(counts) for p in (guess, weight, scene.graph.spacing, level)), fresh, strict=True)
        total = level.new_zeros(())
        for guesses, weights, spacing, first, new in parts:
            known = torch.log(first)
            off = (pooled_noise(guesses, weights, spacing) - known[0]).abs()
            each = (guesses - (known - spacing.log()).clamp_min(float(np.log(NOISE_FLOOR)))).abs().mean()
            total = total + new * (off.float() + 0.1 * each) / len(counts)
        return total

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
            same = state["recipe"] == self.recipe.model_dump_json()
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, UnpicklingError) as error:
            raise RunError(f"{path}: no checkpoint of a training run; start without --resume") from error
        if not same:
            raise RunError(f"{path}: belongs to another recipe; restore that recipe, or start without --resume")
        self.networks.load_state_dict(state["networks"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        chain: list[dict[str, Any]] = json.loads(state["chain"])
        return chain

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
