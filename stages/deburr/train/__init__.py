"""Training surfaces, noise, losses and the loop; only the command line imports it."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

LICENCE = "BSD-3-Clause"


def run(recipe_path: str, init: str | None = None, resume: bool = False) -> dict[str, Any]:
    """Train by the recipe in ``recipe_path`` and write the weights it names; returns their card.

    ``init``: weights to start from, or "bundled"; their chain of runs goes on in the card, and they grow where the
    recipe asks for a larger network. ``resume``: go on from the checkpoint of an interrupted run of this recipe.
    Raises `deburr.core.errors.SpecError` and `RunError`.
    """
    from deburr.core.errors import RunError, SpecError
    from deburr.core.files import check_folder
    from deburr.nn import weights
    from deburr.nn.deburr import BUNDLED
    from deburr.nn.deburr.default import sizes_of
    from deburr.nn.deburr.layer import Sizes
    from deburr.nn.deburr.noise_network import shown_more
    from deburr.train.curves import Curves
    from deburr.train.feed import find_scenes, scenes
    from deburr.train.grown import as_large
    from deburr.train.loop import Trainer, train
    from deburr.train.owned import check_owned
    from deburr.train.recipe import read_recipe
    from deburr.train.strips import Strips
    from deburr.train.tiles import Tiles, find_files, read_lines, read_tiles

    recipe = read_recipe(recipe_path)
    if recipe.of_files and init is None and not resume:
        raise SpecError(
            f"{recipe_path}: objective '{recipe.objective}' fine-tunes trained weights; give them with --init"
        )
    files, prepared = find_files(recipe_path, recipe.files), find_scenes(recipe_path, recipe.scenes)
    if init is not None and resume:
        raise SpecError("--init and --resume exclude each other; a resumed run has its first weights already")
    init = str(BUNDLED) if init == "bundled" else init
    output = Path(recipe.output)
    check_folder(output)
    checkpoint = output.with_suffix(".ckpt")
    if output.suffix != ".safetensors":
        raise SpecError(f"{recipe_path}: output: '{output}' must end in .safetensors; rename it")
    if init is not None and Path(init).resolve() == output.resolve():
        raise SpecError(f"{recipe_path}: output: '{output}' is what --init starts from; choose another")
    trainer, chain, curves = Trainer(recipe), list[dict[str, Any]](), Curves(output.with_suffix(".csv"))
    if init is not None:
        tensors, card = weights.read(init, model="deburr")
        weights.fit(
            init, trainer.networks, as_large(shown_more(tensors), sizes_of(init, card), Sizes(**trainer.sizes()))
        )
        chain = [*card.get("chain", [])]
        trainer.begin_average()
    if resume:
        if not checkpoint.is_file():
            raise RunError(f"{checkpoint}: no checkpoint to resume from; start without --resume")
        chain = trainer.restore(checkpoint)
        curves.resume(trainer.step)
    else:
        check_owned(checkpoint, curves.path)
    tiles: Tiles | Strips | None = None
    if files and recipe.objective == "strips":
        tiles = Strips(read_lines(files, recipe, trainer.model()))
    elif files:
        tiles = Tiles(read_tiles(files, recipe, trainer.model()))
    other = None if tiles is None else tiles.draw
    if isinstance(tiles, Tiles) and recipe.files_alone:
        other = tiles.parted if recipe.objective == "score_matching" else tiles.bare
    with scenes(recipe, trainer.step * recipe.batch, other, prepared) as drawn:
        train(trainer, checkpoint, drawn, chain, curves)
    card = finish(trainer, [*chain, _link(trainer, recipe_path, tiles, len(prepared))], str(output))
    curves.add(trainer.step, trainer.seconds, trainer.points, trainer.running)
    curves.validated(card["validation"])
    curves.write()
    curves.draw()
    return card


def prepare(recipe_path: str, folder: str, count: int) -> None:
    """Write the first ``count`` scenes of the recipe in ``recipe_path`` into ``folder``, which is made, as files for
    its option ``scenes``. Raises `deburr.core.errors.SpecError`, `RunError` and `WriteError`."""
    from deburr.core.errors import SpecError, WriteError
    from deburr.core.progress import advance
    from deburr.train.feed import scenes
    from deburr.train.prepared import write
    from deburr.train.recipe import read_recipe

    recipe = read_recipe(recipe_path)
    if recipe.of_files:
        raise SpecError(f"{recipe_path}: scenes of objective '{recipe.objective}' cannot be prepared; choose another")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error
    with scenes(recipe, 0, count=count) as made:
        for number, scene in enumerate(made):
            write(Path(folder) / f"{number:06d}.npz", scene)
            advance("preparing scenes", number + 1, count)


def _link(trainer: Any, recipe_path: str, tiles: Any, prepared: int) -> dict[str, Any]:
    """What the card's chain records of this run."""
    link = {
        # What the user's files are called is nobody's business.
        "recipe": trainer.recipe.model_dump(
            mode="json", exclude={"output", "threads", "device", "files", "scenes", "workers"}
        ),
        "recipe_sha256": hashlib.sha256(Path(recipe_path).read_bytes()).hexdigest(),
        "steps": trainer.step,
        "minutes": round(trainer.seconds / 60, 1),
    }
    if prepared:
        link["prepared_scenes"] = prepared
    return link if tiles is None else {**link, "tiles": tiles.figures()}


def finish(trainer: Any, chain: list[dict[str, Any]], output: str) -> dict[str, Any]:
    """Write the weights that the run is for with their card: sizes, the chain of runs, the licence, and what `judge`
    finds."""
    from deburr.nn import weights

    outside = [link["tiles"] for link in chain if "tiles" in link]
    noisy = f"noisy clouds of {sum(t['points'] for t in outside)} points in all" if outside else "no cloud or mesh"
    card: dict[str, Any] = {
        "model": "deburr",
        "sizes": trainer.sizes(),
        "data": f"random solids, open country and simulated scans made by deburr.train; {noisy} from outside",
        "chain": chain,
        "licence": LICENCE,
    }
    weights.save(output, trainer.result(), card)
    return judge(output, output)


def judge(source: str, output: str) -> dict[str, Any]:
    """Write the weights ``source``, or the "bundled" ones, to ``output``, which may be the same, as they are but for
    two entries of their card: how they do on scenes that no recipe trains on, and how much noise they leave there, by
    which `Uncertainty` is told. Returns the card.

    Raises `deburr.core.errors.ReadError` and `WriteError`.
    """
    from deburr.core.files import check_folder
    from deburr.nn import weights
    from deburr.nn.deburr import BUNDLED
    from deburr.nn.deburr.default import Default
    from deburr.train import validate

    check_folder(Path(output))
    source = str(BUNDLED) if source == "bundled" else source
    tensors, card = weights.read(source, model="deburr")
    card["validation"], left = validate.judge(Default.load(source))
    card["uncertainty"] = left.figures()
    weights.save(output, tensors, card)
    log.info("wrote %s", output)
    return card
