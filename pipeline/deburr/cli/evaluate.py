"""`pipeline evaluate`: what a denoiser is worth where the truth is known."""

from __future__ import annotations

from pathlib import Path

import click

from deburr.cli.complete import FILE
from deburr.cli.say import result
from deburr.cli.shared import common


@click.command()
@click.argument("clean", metavar="CLEAN", type=FILE)
@click.argument("noisy", metavar="NOISY...", nargs=-1, required=True, type=FILE)
@click.option("--model", help="Of the denoiser; default: deburr's own.")
@click.option("--weights", type=FILE, help="Of the model: a .safetensors file; default: the bundled ones.")
@click.option("--noise", help="Standard deviation of the noise, in the clouds' units; default: estimated.")
@click.option("--steps", help="Ascent steps; default: the model's own.")
@click.option("--device", help="cpu, cuda, or auto; default cpu.")
@click.option("--csv", "table", metavar="FILE", type=FILE, help="Write the table there as well, for programs.")
@common
def evaluate(clean: str, noisy: tuple[str, ...], table: str | None, quiet: bool, **options: str | None) -> None:
    """Denoise the clouds NOISY (files, folders, globs), and tell how far they are from CLEAN before and after.

    CLEAN is the true cloud or mesh (PLY, OBJ, STL), or a folder of them: of cube_0.01.xyz, cube.obj. Distances are
    those of filters.metrics: root mean square from the points to the truth, Chamfer (not squared, and squared) and
    Hausdorff distance, in the clouds' units.
    """
    from deburr.batch.inputs import expand
    from deburr.cli.progress import shown
    from deburr.core.errors import SpecError
    from deburr.core.files import replacing
    from deburr.core.interrupts import whole_import
    from deburr.pipeline.denoise import denoiser

    whole_import("deburr.nn.deburr.default")  # which imports torch
    from deburr.train import evaluate as module

    found = expand(noisy)
    given = {name: value for name, value in options.items() if value is not None}
    paths = [path for path in found if isinstance(path, Path)]
    if len(paths) < len(found):
        raise SpecError("addresses are not evaluated; download the files first")
    with shown(quiet):
        rows = module.evaluate(Path(clean), paths, denoiser(given))
    if table is not None:
        with replacing(Path(table)) as temporary:
            temporary.write_text(module.as_csv(rows), encoding="utf-8")
    result(module.as_text(rows))
