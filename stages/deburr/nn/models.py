"""The denoising models there are, and what each of them uses.

This module imports no torch, so that a spec can be checked in a blink; `load` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deburr.nn.contract import Model
from deburr.nn.level import LEAST


@dataclass(frozen=True)
class Kind:
    """What a model uses of a spec; `filters.spd` refuses a stage or an option that its model would ignore.

    ``dimensions`` are those that it can fill: Displacement any model, Uncertainty and NoiseLevel one that returns them.
    ``tiled`` is whether it is a `Surveyor`.
    """

    name: str
    description: str
    frames: frozenset[str]
    patch_methods: frozenset[str]
    options: frozenset[str]
    bundled: bool
    min_points: int
    dimensions: frozenset[str] = frozenset({"Displacement"})
    tiled: bool = False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="deburr",
            description="noise-conditional score network over local planes; the default, its weights are bundled",
            frames=frozenset({"spacing"}),
            patch_methods=frozenset({"blocks"}),
            options=frozenset({"noise", "steps", "strength", "max_displacement", "device", "strips", "normals"}),
            bundled=True,
            min_points=LEAST,
            dimensions=frozenset({"Displacement", "Uncertainty", "NoiseLevel"}),
            tiled=True,
        ),
        Kind(
            name="spd",
            description="the network of Luo & Hu (ICCV 2021) as published; needs imported weights",
            frames=frozenset({"unit_sphere", "spacing"}),
            patch_methods=frozenset({"knn"}),
            options=frozenset(
                {"steps", "step_size", "step_decay", "neighbors", "strength", "max_displacement", "device"}
            ),
            bundled=False,
            min_points=32,
        ),
    )
}


def bundled_weights(name: str) -> Path:
    """Where the weights of the model ``name`` are that come with deburr."""
    return Path(__file__).with_name(name) / f"{name}.safetensors"


def load(name: str, weights: str | None) -> Model:
    """The model ``name`` with the weights in the safetensors file ``weights`` (None: the bundled ones).

    Raises `deburr.core.errors.ReadError` for a file that is missing or holds something else.
    """
    if name == "spd":
        from deburr.nn.spd.published import Published

        return Published.load(weights)
    from deburr.nn.deburr.default import Default

    return Default.load(weights)
