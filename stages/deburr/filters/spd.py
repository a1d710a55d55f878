"""filters.spd: the score-based denoiser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from math import inf
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field

from deburr.core.arrays import Bools, Dims, Floats, Ints
from deburr.core.cloud import NOISE_CLASSES, Extent, PointCloud
from deburr.core.errors import RunError, SpecError
from deburr.core.figure import Count, Reports, Same, Summed
from deburr.core.horizon import SPACING, Known
from deburr.core.noise import NOISE_REPORTS, noise_figures, noise_sums
from deburr.core.original import ORIGINAL, keep_original
from deburr.core.sample import Sample
from deburr.core.stage import Filter, Reach, Stage
from deburr.core.sums import Histogram, Sum, Sums
from deburr.core.where import parse
from deburr.filters import _doubts as doubt
from deburr.filters._moves import displacement, movable, uncertainty_left
from deburr.filters._normals import NORMALS, carried, recomputed
from deburr.filters._outliers import ByEnergy
from deburr.filters._sight import nothing, seen_of, too_few
from deburr.filters._surprise import CHANCES
from deburr.nn import level
from deburr.nn.contract import Denoised, Model, Settings, Surveyor
from deburr.nn.models import DEFAULT, OPTIONS, Kind, kind_of, kinds, load
from deburr.nn.points import count_distinct
from deburr.nn.schedule import CHANCE, SAMPLES, Sampler, steps_of

#: The sum that tells how far points went for an even spacing.
_ALONG = "spread"
#: Under this name, what is known of the whole cloud with its outliers.
_OUTLIERS = "outliers"
#: Tells which flight strip, or which station, a point comes from.
STRIP = "PointSourceId"

Positive = Annotated[float, Field(gt=0)]


def _registered(model: str) -> str:
    try:
        return kind_of(model).name
    except SpecError as error:
        raise ValueError(str(error)) from error


def _models(schema: dict[str, Any]) -> None:
    """Add to the JSON Schema of the option which models there are here."""
    schema["enum"] = [*kinds()]
    schema["description"] = f"the network: {'; '.join(f'{one.name}: {one.description}' for one in kinds().values())}"


def _readable(where: str) -> str:
    parse(where)
    return where


class Spd(Filter):
    """Move points to where the score (the gradient of the log density) leads, and change nothing else.

    Point i in is point i out. Points that are withheld or of class 7 or 18 are neither used nor moved. ``classes`` and
    ``where`` choose the points that may move (both must agree, if both are given). The others are part of the surface
    all the same: the network sees them as neighbours, and the noise is estimated from all.
    ``where`` is an expression as in PDAL: ``Classification == 2 && ReturnNumber == 1``, ``!(Z > 3 || Red < 100)``, with
    the coordinates X, Y, Z, any dimension, + - * / and parentheses.
    Source: Luo & Hu, "Score-Based Point Cloud Denoising", ICCV 2021.
    """

    type_name: ClassVar[str] = "filters.spd"
    effort: ClassVar[float] = 10.0
    reports: ClassVar[Reports] = {
        "points": Count(description="points that the network looked at"),
        "points_left_out": Count(description="points of class 7 or 18 and withheld ones, neither used nor moved"),
        "flagged": Count("outliers", description="points that were found to be outliers, neither used nor moved"),
        "points_held": Count(description="points that were looked at, and that classes or where kept in their place"),
        "model": Same(description="the network"),
        "noise_source": Same(description="whether the noise was estimated or given"),
        "steps": Same(description="how often the network looked at the points and moved them"),
        "strips_apart": Same(description="strips that saw nothing of each other"),
        "spacing": Same(unit="length", description="side of the square that a point owns on the surface, the median"),
        "max_displacement": Same("limit of movement", "length", description="no point may move further"),
        "spread_median": Summed(
            "spread along the surface, median",
            "length",
            description="how far they went to lie evenly, the median",
        ),
        "spread_max": Summed(
            "spread along the surface, at most", "length", description="how far the farthest went to lie evenly"
        ),
        "displacement_median": Summed("", "length", description="how far points moved, the median (model spd)"),
        "displacement_max": Summed("", "length", description="how far the farthest moved (model spd)"),
        **NOISE_REPORTS,
    }
    files: ClassVar[frozenset[str]] = frozenset({"weights"})

    model: Annotated[str, AfterValidator(_registered)] = Field(
        DEFAULT,
        description="the network",
        json_schema_extra=_models,
    )
    weights: str | None = Field(None, description="safetensors file; default: the weights that the model comes with")
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
    sampler: Sampler = Field(
        "ascent",
        description="ascent: each step goes all of the way that the score points out, to where the point most likely "
        "came from; ddim, ancestral: the reverse of a diffusion in small steps, without and with chance; langevin: the "
        "mean of several chains of chance, whose spread is Uncertainty (all three experimental)",
    )
    samples: int | None = Field(
        None,
        ge=2,
        le=1000,
        multiple_of=2,
        description="draws whose mean is the result and whose spread is Uncertainty, an even number; default: 8 "
        "(sampler langevin), a single draw (ancestral)",
    )
    seed: int = Field(0, ge=0, lt=1 << 63, description="the same seed gives the same chance (samplers with chance)")
    strength: float = Field(1.0, ge=0, le=1, description="share of the displacement that is applied")
    max_displacement: Positive | None = Field(
        None,
        description="no point moves further; default: 3.5 times the noise (deburr), no limit (spd)",
        json_schema_extra={"unit": "cloud units"},
    )
    device: Literal["auto", "cpu", "cuda"] = Field("cpu", description="where the network runs; auto: a GPU if any")
    strips: Literal["apart", "merge"] = Field(
        "merge",
        description="flight strips or stations (PointSourceId): all as one cloud; or apart, each onto its own surface, "
        "so that the offset between them is kept",
    )
    normals: Literal["keep", "recompute"] = Field(
        "keep",
        description="the normals that points carry: they stay as they are; or come anew from the surface, on the side "
        "that they were",
    )
    spread: Literal["none", "even"] = Field(
        "none",
        description="how points lie along the surface: none, as denoising leaves them; or even, pushed apart by up to "
        "half a spacing, for sampled objects: on scans it is harm, since points leave their own places",
    )
    outliers: Literal["none", "classify", "remove"] = Field(
        "none",
        description="outliers, found first, as filters.outlier with method energy finds them: none are looked for; or "
        "they get Classification 7 and stay where they are, or are removed, and the others are denoised without them "
        "(experimental)",
    )
    chance: float | None = Field(
        None,
        ge=CHANCES[-1],
        le=CHANCES[0],
        description="share of the good points that may be taken for outliers by chance; default: outliers begin where "
        "the cloud itself tells them apart",
    )
    classes: list[Annotated[int, Field(ge=0, le=255)]] | None = Field(
        None, min_length=1, description="only points of these ASPRS classes may move (2 ground, 6 building, ...)"
    )
    where: Annotated[str, AfterValidator(_readable)] | None = Field(
        None, description='only points that meet this may move: "Classification == 2 && Z > 3"'
    )
    keep_original: bool = Field(
        False, description="keep the coordinates as OriginalX, OriginalY, OriginalZ, which filters.restore puts back"
    )
    dimensions: list[Literal["Displacement", "Uncertainty", "NoiseLevel", "Energy"]] | None = Field(
        None,
        min_length=1,
        description="dimensions to add: Displacement, how far each point was moved; Uncertainty, the standard "
        "deviation of the noise that is left across the surface; NoiseLevel, that of the noise before; Energy, what a "
        "point's place costs beyond what the noise explains, before it is moved, in nats (float32)",
        json_schema_extra={"unit": "cloud units"},
    )

    @property
    def _kind(self) -> Kind:
        return kind_of(self.model)

    @property
    def reads(self) -> dict[str, str]:
        """The weights, be they the bundled ones."""
        bundled = None if self.weights is not None else self._kind.bundled
        return super().reads if bundled is None else {"weights": str(bundled)}

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse options and stages that the chosen model would ignore."""
        kind = self._kind
        errors = []
        if "weights" in kind.options and kind.bundled is None and self.weights is None:
            errors.append(
                f"model '{self.model}' has no bundled weights; import a checkpoint with 'pipeline weights import' "
                "and name the result in 'weights'"
            )
        for option in sorted(OPTIONS & self.model_fields_set - kind.options):
            errors.append(f"option '{option}' has no effect on model '{self.model}'; remove it")
        if self.samples is not None and self.sampler not in CHANCE:
            errors.append(f"option 'samples' has no effect on sampler '{self.sampler}'; remove it, or use 'langevin'")
        if self.outliers == "none" and "chance" in self.model_fields_set:
            errors.append("option 'chance' has no effect without 'outliers'; remove it, or let them be classified")
        errors += self._impossible(kind)
        for stage in before:
            uses = {"filters.normalize": kind.frames, "filters.patch": kind.patch_methods}.get(stage.type_name)
            method = getattr(stage, "method", None)
            if uses is not None and method not in uses:
                known = " or ".join(repr(use) for use in sorted(uses))
                remedy = f"use {known}, or " if known else ""
                errors.append(
                    f"model '{self.model}' would ignore {stage.type_name} with method '{method}'; "
                    f"{remedy}remove that stage"
                )
        return errors

    @property
    def gives(self) -> frozenset[str]:
        """The dimensions that are asked for."""
        classified = ("Classification",) if self.outliers == "classify" else ()
        return frozenset({*(ORIGINAL if self.keep_original else ()), *classified, *(self.dimensions or ())})

    @property
    def looks_at(self) -> frozenset[str]:
        """What says which points are seen and may move, and the dimensions that are added."""
        asked = frozenset() if self.where is None else parse(self.where).dimensions
        # Whether a cloud was denoised before is asked where the noise is given.
        kept = ORIGINAL if self.keep_original or (self.noise != "auto" and self._kind.tiled) else ()
        strips = {STRIP} if self.strips == "apart" and self._kind.tiled else set()
        return asked | {"Classification", "Withheld", *NORMALS, *strips, *kept, *(self.dimensions or ())}

    def _by_energy(self, network: Callable[[], Model]) -> ByEnergy | None:
        return None if self.outliers == "none" else ByEnergy(self.chance, network, self.device)

    @property
    def _finder(self) -> ByEnergy | None:
        return self._by_energy(self._network)

    def reach(self, known: Known) -> Reach | None:
        """The hops of the planes and layers, in each step; None for a model that must see the whole cloud."""
        if not self._kind.tiled:
            return None
        before = Reach()
        if finder := self._finder:
            before = finder.reach(_of_outliers(known))
            if finder.asks(_of_outliers(known)):
                return before
        if level.asks(known):
            return before + Reach(hops=1 if self.noise != "auto" else level.survey_hops())
        told = [step.told for step in steps_of(known, self.sampler, self.steps)]
        return before + Reach(hops=level.hops(known, told, self.spread == "even"))

    def asks(self, known: Known) -> bool:
        """The noise level and the spacing of the whole cloud; where outliers are looked for, before and behind that."""
        return self._kind.tiled and level.asks(known)

    def sample(self, extent: Extent, known: Known) -> Sample | None:
        """A part of a large cloud tells both."""
        return level.sample(extent, self._asked(known))

    def _asked(self, known: Known) -> Known:
        """What is ``known`` of what is asked for next."""
        first = self._finder is not None and self._finder.asks(_of_outliers(known))
        return _of_outliers(known) if first else known

    def survey(self, cloud: PointCloud, known: Known) -> tuple[Sums, Bools]:
        """Count what the points of the core tell of both."""
        network, earlier = cache(self._network), None
        if finder := self._by_energy(network):
            if finder.asks(_of_outliers(known)):
                return finder.survey(cloud, _of_outliers(known))
            # No matter what becomes of them, they stay in their rows as long as one looks.
            _, cloud, earlier = finder.without(cloud, _of_outliers(known), "classify")
        active = cloud.active
        points, again = cloud.xyz[active], self._again(cloud)
        if self._too_few(points, self._strips(cloud, active)):
            return nothing(cloud, guesses=self.noise == "auto" or again)
        model, sure = network(), cloud.settled.copy()
        assert isinstance(model, Surveyor)
        settings = replace(self._settings(cloud, active, known, again), earlier=earlier)
        # Points that are not active tell nothing, whatever is around them.
        sums, sure[active] = model.survey(points, settings)
        return sums, sure

    def _network(self) -> Model:
        return load(self.model, self.weights)

    def learn(self, known: Known, sums: Sums) -> Known:
        """Both, as far as they are found by now."""
        finder = self._finder
        if finder is not None and finder.asks(_of_outliers(known)):
            found = finder.learn(_of_outliers(known), sums)
            # How far to look for the rest is told by the spacing with the outliers.
            spacing = {SPACING: found[SPACING]} if SPACING in found else {}
            return {**known, **spacing, _OUTLIERS: dict(found)}
        if self.noise == "auto":
            return level.learn(known, sums, None)
        # Guesses are only counted of a cloud that was denoised before.
        return level.learn(known, sums, None, self.noise) if "noise" in sums else level.learn(known, sums, self.noise)

    def run(self, cloud: PointCloud) -> PointCloud:
        """Denoise the active points.

        Raises `RunError` for weights that do not serve, noise beyond all measure, a dimension that is missing.
        """
        known = {} if cloud.horizon is None else cloud.horizon.known
        network, earlier, found = cache(self._network), None, {}
        if self.keep_original:
            cloud = keep_original(cloud)
        if self.outliers != "none" and (finder := self._by_energy(network)):
            found["flagged"], cloud, earlier = finder.without(cloud, _of_outliers(known), self.outliers)
        # Where a survey went before, it has decided.
        again = self._again(cloud) and not known.get("given")
        active, may = cloud.active, movable(cloud, self.classes, self.where)
        points = cloud.xyz[active]
        if self.noise != "auto":
            doubt.refuse_wide(cloud, self.noise)
        if useless := self._useless(cloud, points, may, known):
            done = self._told(cloud, cloud.xyz, {})
            return done.note(self.type_name, self._counts(done, may) | found, useless, *self._replaced(cloud))
        if cloud.horizon is not None and self._too_few(points, self._strips(cloud, active)):
            # What is seen so far is nothing to work on.
            unsure = self._told(cloud, cloud.xyz, {}).settle(~active)
            return unsure.note(self.type_name, self._counts(unsure, may) | found)
        settings = replace(self._settings(cloud, active, known, again), may=may[active], earlier=earlier)
        denoised = network().denoise(points, settings)
        xyz = cloud.xyz.copy()
        xyz[may] = denoised.xyz[may[active]]
        columns = {**self._columns(denoised, active, may), **self._normals(cloud, denoised, active, may)}
        done = self._told(cloud, xyz, columns)
        if denoised.settled is not None:
            settled = np.ones(len(cloud), np.bool_)
            # Who may not move is told a level all the same.
            told = True if denoised.level_settled is None else denoised.level_settled
            settled[active] = denoised.settled | (~may[active] & told)
            done = done.settle(settled, float(denoised.figures["max_displacement"]) * self.strength)
        sums = self._noise(done, denoised, may) | self._along(done, denoised, may)
        figures = self._counts(done, may) | found | dict(denoised.figures) | self.figures(sums)
        # A tile's share of the evidence is not the cloud's, of which `doubts` speaks.
        doubts = self.doubts(figures) if cloud.horizon is None else []
        stale = doubt.of_normals(cloud, done.moved, self.normals == "recompute")
        said = [*doubt.of_degrees(cloud), *doubts, *self._replaced(cloud), *stale, *([doubt.AGAIN] if again else [])]
        return done.note(self.type_name, figures, *said, sums=sums)

    def figures(self, sums: Sums) -> dict[str, Any]:
        """How the noise level is distributed over the points, and how far they went for an even spacing."""
        along = sums.get(_ALONG)
        if not isinstance(along, Histogram) or along.max is None:
            return noise_figures(sums)
        return noise_figures(sums) | {"spread_median": along.quantile(0.5), "spread_max": along.max}

    def _noise(self, cloud: PointCloud, denoised: Denoised, may: Bools) -> dict[str, Sum]:
        """What the model found of the noise at the points of ``cloud`` that count."""
        if denoised.level is None:
            return {}
        active, evidence = cloud.active, denoised.evidence
        counted = cloud.counted[active]
        return noise_sums(
            denoised.level[counted],
            may[active][counted],
            None if evidence is None else evidence[counted],
            cloud.original[active][counted],
            cloud.extent,
        )

    def _along(self, cloud: PointCloud, denoised: Denoised, may: Bools) -> dict[str, Sum]:
        """How far the points of ``cloud`` that count and may move went for an even spacing."""
        if denoised.along is None:
            return {}
        return {_ALONG: Histogram.of(denoised.along[(cloud.counted & may)[cloud.active]])}

    def _counts(self, cloud: PointCloud, may: Bools) -> dict[str, object]:
        """The figures that are counts of ``cloud``, of which the points ``may`` (N,) move."""
        active, counted = cloud.active, cloud.counted
        figures: dict[str, object] = {
            "model": self.model,
            "points": int((active & counted).sum()),
            "points_left_out": int((~active & counted).sum()),
        }
        if self.classes is not None or self.where is not None:
            figures["points_held"] = int((active & ~may & counted).sum())
        strips = self._strips(cloud, active)
        if strips is not None and cloud.horizon is None:  # a tile has some of them
            figures["strips_apart"] = len(np.unique(strips))
        return figures

    def _too_few(self, points: Floats, strips: Ints | None) -> bool:
        """Whether no strip has as many different points as the model needs."""
        return too_few(points, strips, self._kind.min_points)

    def _useless(self, cloud: PointCloud, points: Floats, may: Bools, known: Known) -> str | None:
        """Why there is nothing to do with the active ``points`` of the whole cloud, if so."""
        least = self._kind.min_points
        strips = self._strips(cloud, cloud.active)
        few = self._too_few(points, strips) if cloud.horizon is None else bool(known.get("few"))
        if few:
            # Fewer different points than a neighbourhood span no surface: there is nothing to estimate.
            whole = cloud.horizon is None and strips is None
            distinct = f"{count_distinct(points, least)} different" if whole else "its different"
            each = "" if strips is None else " of one strip"
            return f"{distinct} points are too few to denoise (at least {least}{each}); left unchanged"
        if cloud.horizon is None and not may.any():
            asked = [name for name in ("classes", "where") if getattr(self, name) is not None]
            return f"no point may move; check {' and '.join(repr(name) for name in asked)}"
        return None

    def _told(self, cloud: PointCloud, xyz: Floats, columns: Dims) -> PointCloud:
        """``cloud`` at ``xyz``, with the dimensions that were asked for; what ``columns`` does not tell is NaN."""
        added = dict(columns)
        for name in self.dimensions or ():
            if name == "Displacement":
                added[name] = displacement(cloud.xyz, xyz)
            elif name not in added:
                added[name] = np.full(len(cloud), np.nan, dtype=np.float32)
        moved = cloud if xyz is cloud.xyz else cloud.with_xyz(xyz)
        return moved.with_dims(added) if added else moved

    def _columns(self, denoised: Denoised, active: Bools, may: Bools) -> Dims:
        """The dimensions that are asked for and that the model tells: NaN for points that the network has not seen."""
        level, left = denoised.level, denoised.uncertainty
        if left is not None:
            noise = denoised.figures["noise"] if level is None else level
            left = uncertainty_left(left, noise, np.where(may[active], self.strength, 0.0))
        columns = {}
        for name, told in {"NoiseLevel": level, "Uncertainty": left, "Energy": denoised.energy}.items():
            if name not in (self.dimensions or ()):
                continue
            if told is None:
                raise RunError(f"model '{self.model}' gives no {name} with these weights; remove it from 'dimensions'")
            columns[name] = np.full(len(active), np.nan, dtype=np.float32)
            columns[name][active] = told
        return columns

    def _normals(self, cloud: PointCloud, denoised: Denoised, active: Bools, may: Bools) -> Dims:
        """The normals of the points that may move, made anew, if that is asked for and possible."""
        if self.normals == "keep" or denoised.normals is None or not carried(cloud).any():
            return {}
        return recomputed(cloud, denoised.normals[may[active]], may)

    def _impossible(self, kind: Kind) -> Iterator[str]:
        """What the choice of points and dimensions asks for in vain, one sentence each."""
        for number in sorted(set(self.classes or ()) & set(NOISE_CLASSES)):
            yield f"option 'classes' names {number}, which means noise and is never moved; remove it"
        for name in sorted(set(self.dimensions or ()) - kind.dimensions):
            known = " or ".join(f"'{other}'" for other in sorted(kind.dimensions))
            yield f"model '{self.model}' cannot tell the dimension '{name}'; it can tell {known}"

    def _replaced(self, cloud: PointCloud) -> Iterator[str]:
        """Warnings of dimensions of the input that are overwritten."""
        return doubt.of_replaced(cloud, set(self.dimensions or ()))

    def doubts(self, figures: Mapping[str, Any]) -> list[str]:
        """Warnings of results that are hardly what was wanted, one sentence each."""
        return [*doubt.of_noise(figures, estimated=self.noise == "auto")]

    def _again(self, cloud: PointCloud) -> bool:
        """Whether the noise that is given is what ``cloud`` had before an earlier denoising, and not what is left."""
        given = self.noise != "auto" and self._kind.tiled
        return given and (
            any(record.stage == self.type_name for record in cloud.history) or cloud.dims.keys() >= {*ORIGINAL}
        )

    def _settings(self, cloud: PointCloud, active: Bools, known: Known, again: bool) -> Settings:
        given = None if self.noise == "auto" else self.noise
        chosen = self.sample(cloud.extent, known) if self._kind.tiled else None
        return Settings(
            seen=seen_of(cloud, active, known, chosen),
            noise=None if again else given,
            most_noise=given if again and given is not None else inf,
            steps=self.steps,
            step_size=self.step_size,
            step_decay=self.step_decay,
            neighbors=self.neighbors,
            strength=self.strength,
            max_displacement=self.max_displacement,
            device=self.device,
            frame=cloud.frame,
            patches=cloud.patches,
            normals=self.normals == "recompute",
            even=self.spread == "even",
            energy="Energy" in (self.dimensions or ()),
            groups=self._strips(cloud, active),
            sampler=self.sampler,
            samples=self.samples or (SAMPLES if self.sampler == "langevin" else 1),
            seed=self.seed,
        )

    def _strips(self, cloud: PointCloud, active: Bools) -> Ints | None:
        """The strip of each ``active`` point (N,), where strips are apart and there is more than one."""
        if self.strips == "merge" or STRIP not in cloud.dims or not self._kind.tiled:
            return None
        numbers = cloud.dims[STRIP][active]
        return numbers if len(numbers) and (numbers != numbers[0]).any() else None


def _of_outliers(known: Known) -> Known:
    found: Known = known.get(_OUTLIERS, {})
    return found
