"""filters.spd: the score-based denoiser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError
from deburr.core.stage import Filter, Stage
from deburr.nn.models import KINDS, Settings, load
from deburr.nn.points import count_distinct

#: Noise given beyond this many spacings is nothing that the network was trained on; most likely it is in another unit.
MOST_NOISE = 5.0
#: An estimate below this many spacings means: nothing to do. That may surprise, so it is said.
LEAST_NOISE = 0.01

Positive = Annotated[float, Field(gt=0)]


class Spd(Filter):
    """Move points to where the score (the gradient of the log density) leads, and change nothing else.

    Point i in is point i out. Points that are withheld or of class 7 or 18 are neither used nor moved.
    Source: Luo & Hu, "Score-Based Point Cloud Denoising", ICCV 2021.
    """

    type_name: ClassVar[str] = "filters.spd"
    files: ClassVar[frozenset[str]] = frozenset({"weights"})

    model: Literal["deburr", "spd"] = Field("deburr", description="the network: deburr's own, or SPD as published")
    weights: str | None = Field(None, description="safetensors file; default: the bundled weights (deburr only)")
    noise: Literal["auto"] | Positive = Field(
        "auto", description="standard deviation of the noise", json_schema_extra={"unit": "cloud units"}
    )
    steps: int | None = Field(None, ge=1, le=1000, description="ascent steps; default: the model's own")
    step_size: Positive | None = Field(None, description="first step as a share of the score; default: 0.2 (model spd)")
    step_decay: float | None = Field(
        None, gt=0, le=1, description="each step's share of the one before; default: 0.95 (model spd)"
    )
    neighbors: int | None = Field(
        None, ge=1, le=64, description="points that each point's score reaches; default: 4 (model spd)"
    )
    strength: float = Field(1.0, ge=0, le=1, description="share of the displacement that is applied")
    max_displacement: Positive | None = Field(
        None,
        description="no point moves further; default: four times the noise (deburr), no limit (spd)",
        json_schema_extra={"unit": "cloud units"},
    )
    device: Literal["auto", "cpu", "cuda"] = Field("cpu", description="where the network runs; auto: a GPU if any")

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse options and stages that the chosen model would ignore."""
        kind = KINDS[self.model]
        errors = []
        if not kind.bundled and self.weights is None:
            errors.append(
                f"model '{self.model}' has no bundled weights; import a checkpoint with 'pipeline weights import' "
                "and name the result in 'weights'"
            )
        tunable = set().union(*(k.options for k in KINDS.values()))
        for option in sorted(tunable & self.model_fields_set - kind.options):
            errors.append(f"option '{option}' has no effect on model '{self.model}'; remove it")
        for stage in before:
            uses = {"filters.normalize": kind.frames, "filters.patch": kind.patch_methods}.get(stage.type_name)
            method = getattr(stage, "method", None)
            if uses is not None and method not in uses:
                errors.append(
                    f"model '{self.model}' would ignore {stage.type_name} with method '{method}'; "
                    f"use {' or '.join(repr(use) for use in sorted(uses))}, or remove that stage"
                )
        return errors

    def run(self, cloud: PointCloud) -> PointCloud:
        """Denoise the active points. Raises `RunError` for weights that do not serve, or noise beyond all measure."""
        least = KINDS[self.model].min_points
        active = cloud.active
        points = cloud.xyz[active]
        figures: dict[str, object] = {
            "model": self.model,
            "points": len(points),
            "points_left_out": len(cloud) - len(points),
        }
        distinct = count_distinct(points, least)
        if distinct < least:
            # Fewer different points than a neighbourhood span no surface: there is nothing to estimate.
            few = f"{distinct} different points are too few to denoise (at least {least}); left unchanged"
            return cloud.note(self.type_name, figures, few)
        widest = float(np.ptp(points, axis=0).max())
        if self.noise != "auto" and self.noise > widest:
            raise RunError(
                f"noise {self.noise:.3g} is more than the whole cloud, which is {widest:.3g} wide; "
                "give it in the cloud's units"
            )
        denoised = load(self.model, self.weights).denoise(points, self._settings(cloud))
        xyz = cloud.xyz.copy()
        xyz[active] = denoised.xyz
        figures |= denoised.figures
        return cloud.with_xyz(xyz).note(self.type_name, figures, *self._doubts(cloud, figures))

    def _doubts(self, cloud: PointCloud, figures: Mapping[str, object]) -> Iterator[str]:
        """Warnings of results that are hardly what was wanted, one sentence each."""
        units = cloud.history[0].figures.get("units") if cloud.history else None
        if isinstance(units, str) and "degree" in units:
            yield "x and y are in degrees, z hardly: the result means little; project the cloud first"
        noise, spacing = figures.get("noise"), figures.get("spacing")
        if not isinstance(noise, float) or not isinstance(spacing, float):
            return
        if self.noise != "auto" and noise > MOST_NOISE * spacing:
            yield (
                f"noise {noise:.3g} is {noise / spacing:.0f} times the point spacing, more than the network knows; "
                "check that it is in the cloud's units"
            )
        if self.noise == "auto" and noise < LEAST_NOISE * spacing:
            yield (
                f"the estimated noise, {noise:.2g}, is nearly nothing beside the point spacing, so points hardly move; "
                "if the cloud is noisy, give 'noise' (sparse scan lines can hide it)"
            )

    def _settings(self, cloud: PointCloud) -> Settings:
        return Settings(
            noise=None if self.noise == "auto" else self.noise,
            steps=self.steps,
            step_size=self.step_size,
            step_decay=self.step_decay,
            neighbors=self.neighbors,
            strength=self.strength,
            max_displacement=self.max_displacement,
            device=self.device,
            frame=cloud.frame,
            patches=cloud.patches,
        )
