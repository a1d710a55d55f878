"""The denoising models there are, and what each of them uses: those of deburr, and those that other packages register
in the entry point group ``deburr.models``, a `Kind` each under its name.

This module imports no torch, so that a spec can be checked in a blink; `load` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deburr.core.entries import Entries, Point
from deburr.core.errors import SpecError, did_you_mean
from deburr.core.interrupts import whole_import
from deburr.nn.contract import Model
from deburr.nn.deburr import BUNDLED
from deburr.nn.level import LEAST


@dataclass(frozen=True)
class Kind:
    """What a model uses of a spec; `filters.spd` refuses a stage or an option that its model would ignore.

    ``load`` makes the model of the weights in a file, or of the bundled ones (None), and raises
    `deburr.core.errors.ReadError` for a file that is missing or holds something else. ``options``: those of `OPTIONS`
    that it uses. ``frames``, ``patch_methods``: the methods of filters.normalize and filters.patch that it heeds.
    ``bundled``: the file with the weights that come with it; a model with the option ``weights`` and no such file needs
    one from its user. ``min_points``: fewer different ones are left as they are. ``dimensions`` are those that it can
    fill: Displacement any model, Uncertainty, NoiseLevel and Energy one that returns them. ``tiled`` is whether it is a
    `deburr.nn.contract.Surveyor`.
    """

    name: str
    description: str
    load: Callable[[str | None], Model]
    options: frozenset[str]
    frames: frozenset[str] = frozenset()
    patch_methods: frozenset[str] = frozenset()
    bundled: Path | None = None
    min_points: int = LEAST
    dimensions: frozenset[str] = frozenset({"Displacement"})
    tiled: bool = False


#: The options of filters.spd that a model may use or ignore.
OPTIONS = frozenset(
    {"weights", "noise", "steps", "step_size", "step_decay", "neighbors", "strength", "max_displacement", "device",
     "strips", "normals", "sampler", "samples", "seed", "spread", "outliers", "chance"}
)  # fmt: skip
DEFAULT = "deburr"


def _deburr(weights: str | None) -> Model:
    whole_import("deburr.nn.deburr.default")  # which imports torch
    from deburr.nn.deburr.default import Default

    return Default.load(weights)


def _spd(weights: str | None) -> Model:
    whole_import("deburr.nn.spd.published")  # which imports torch
    from deburr.nn.spd.published import Published

    return Published.load(weights)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name=DEFAULT,
            description="a noise-conditional score network over local planes, whose weights are bundled",
            load=_deburr,
            options=OPTIONS - {"step_size", "step_decay", "neighbors"},
            frames=frozenset({"spacing"}),
            patch_methods=frozenset({"blocks"}),
            bundled=BUNDLED,
            dimensions=frozenset({"Displacement", "Uncertainty", "NoiseLevel", "Energy"}),
            tiled=True,
        ),
        Kind(
            name="spd",
            description="the network of Luo & Hu (ICCV 2021) as published, which needs imported weights",
            load=_spd,
            options=OPTIONS
            - {"noise", "strips", "normals", "sampler", "samples", "seed", "spread", "outliers", "chance"},
            frames=frozenset({"unit_sphere", "spacing"}),
            patch_methods=frozenset({"knn"}),
            min_points=32,
        ),
    )
}


def _fault(point: Point, found: Any) -> str | None:
    """What is wrong with a model of another package."""
    if not isinstance(found, Kind):
        return "is no Kind of deburr.nn.models"
    if found.name != point.name:
        return "has another name; give it that of its entry point"
    unknown = sorted(found.options - OPTIONS)
    return f"names an option '{unknown[0]}', which filters.spd has not" if unknown else None


_ENTRIES = Entries[Kind]("deburr.models", "model", lambda: KINDS.keys(), _fault)


def broken() -> list[str]:
    """What other packages have registered and cannot be used, one sentence each. Loads all that they have."""
    return _ENTRIES.broken()


def kinds() -> dict[str, Kind]:
    """All models that can be used, by name: deburr's own, then those of other packages, which are loaded."""
    return {**KINDS, **_ENTRIES.sound()}


def kind_of(name: str) -> Kind:
    """The model of this name. Raises `SpecError` where there is none, or where it cannot be used."""
    if name in KINDS:
        return KINDS[name]
    if name in _ENTRIES.names:
        return _ENTRIES.get(name)
    known = kinds()
    listed = ", ".join(f"'{one}'" for one in known)
    raise SpecError(f"unknown model '{name}'{did_you_mean(name, known) or f'; there are {listed}'}")


def load(name: str, weights: str | None) -> Model:
    """The model ``name`` with the weights in the file ``weights`` (None: the bundled ones).

    Raises `deburr.core.errors.ReadError` for a file that is missing or holds something else.
    """
    return kind_of(name).load(weights)
