"""The recipe of a training run: a JSON file whose fields are these."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from deburr.core.errors import SpecError, did_you_mean
from deburr.core.text import printable

#: A recipe has a few options; what is longer is something else.
_MOST_BYTES = 1_000_000
_Level = Annotated[float, Field(gt=0, le=1000)]


class Recipe(BaseModel):
    """What is trained on, how long, and where the weights go. Lengths are in point spacings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    output: str = Field(description="safetensors file that the weights go to")
    seed: int = Field(0, ge=0, lt=1_000_000, description="of scenes, noise and first weights")
    steps: int | None = Field(
        None, ge=1, le=1_000_000_000, description="how many steps to train; the learning rate falls over them"
    )
    minutes: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="in place of steps: how long to train; such a run depends on the machine's speed",
    )
    objective: Literal["score", "denoising", "self_supervised", "strips", "score_matching", "mirror"] = Field(
        "score",
        description="nearest clean place; the point's own; that as far as noisy files tell it (self_supervised), or as "
        "one flight line of theirs tells it of another (strips, experimental); or, of noisy files alone, the score of "
        "their density (score_matching, experimental), or where points and their images in the surface agree (mirror, "
        "experimental)",
    )
    files: tuple[str, ...] = Field(
        (),
        description="self_supervised, strips, score_matching, mirror: noisy clouds to learn from; wildcards are "
        "allowed",
    )
    noise: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="self_supervised, strips, score_matching, mirror: noise of the files, in their units; default: "
        "estimated",
    )
    solids: int = Field(250, ge=1, le=1_000_000, description="random solids in the pool")
    hollow_share: float = Field(0.0, ge=0, le=1, description="share of the solids of which only walls are left")
    landscape_share: float = Field(
        0.5, ge=0, le=1, description="share of the scenes that are no scans which are simulated open country"
    )
    undergrowth_share: float = Field(0.0, ge=0, le=1, description="share of open country with low growth on its ground")
    bars_share: float = Field(0.0, ge=0, le=1, description="share of open country with thick poles, trunks and pipes")
    scan_share: float = Field(0.0, ge=0, le=1, description="share of scenes that are scans as scanners make them")
    forest_share: float = Field(
        0.0, ge=0, le=1, description="share of scans made forests, heath or leaves, besides chance"
    )
    contrast_share: float = Field(0.0, ge=0, le=1, description="share of scans with broad dark places, noisier by far")
    most: int = Field(6000, ge=500, le=10_000_000, description="most points of a scene that one step learns from")
    scenes: str | None = Field(None, description="scenes prepared beforehand; wildcards, relative to the recipe")
    solid_noise: tuple[_Level, _Level] = Field((0.05, 2.8), description="lowest and highest noise on solids, spacings")
    landscape_noise: tuple[_Level, _Level] = Field((0.01, 0.9), description="the same in open country")
    batch: int = Field(2, ge=1, le=10_000, description="scenes a step")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="the highest; it rises first, and falls to the end")
    second_pass: float = Field(
        0.4, ge=0, le=1, description="share of scenes denoised once or twice before they are learnt from"
    )
    blend: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of what the run changed that is kept: below 1 the result is a mean with the weights that it "
        "began from, which often is better than either (Wortsman et al. 2022)",
    )
    outcome: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="weight of what the levels found would leave of the noise, by the bundled weights; above 0 it is "
        "tried for each scene, which takes the most time of preparing it; scenes prepared without it teach the level",
    )
    networks: tuple[Literal["score", "noise"], ...] = Field(("score", "noise"), description="what is trained")
    device: Literal["auto", "cpu", "cuda"] = Field("cpu", description="where it is trained; auto: a GPU if any")
    kernels: Literal["torch", "compiled"] = Field(
        "torch", description="compiled: the score network's loops by the C compiler (cc), faster, on a processor alone"
    )
    workers: int = Field(1, ge=1, le=1000, description="processes that prepare scenes beside the training")
    validate_every: int = Field(1000, ge=1, le=1_000_000_000, description="steps between two validations")
    threads: int | None = Field(None, ge=1, le=1000, description="processor threads; default: all")
    channels: int = Field(48, ge=8, le=1024, description="features of a point in the score network")
    heads: int = Field(6, ge=1, le=64, description="ways in which a layer weighs neighbours")
    layers: int = Field(4, ge=1, le=64, description="layers of the score network")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """The options that stand or fall with each other."""
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give one of the options 'steps' and 'minutes', and not both")
        for name, (low, high) in (("solid_noise", self.solid_noise), ("landscape_noise", self.landscape_noise)):
            if low > high:
                raise ValueError(f"option '{name}': its lowest, {low:g}, is above its highest, {high:g}; exchange them")
        if self.kernels == "compiled" and self.device == "cuda":
            raise ValueError("kernels 'compiled' is for device 'cpu' alone; remove it")
        if self.of_files:
            if self.scenes is not None:
                raise ValueError(f"option 'scenes' is not for objective '{self.objective}', which learns from 'files'")
            if not self.files:
                raise ValueError(f"objective '{self.objective}' learns from noisy clouds; name them in 'files'")
            if "score" not in self.networks:
                raise ValueError(f"objective '{self.objective}' trains the score network; add it to 'networks'")
            if self.files_alone and "noise" in self.networks:
                raise ValueError(f"objective '{self.objective}' trains no noise network; give 'networks': ['score']")
        elif self.files or self.noise is not None:
            name = "files" if self.files else "noise"
            known = "objectives 'self_supervised', 'strips', 'score_matching' and 'mirror'"
            raise ValueError(f"option '{name}' is for {known} alone; remove it")
        return self

    @property
    def of_files(self) -> bool:
        """Whether it learns from noisy clouds of the user's."""
        return self.files_alone or self.objective in ("self_supervised", "strips")

    @property
    def files_alone(self) -> bool:
        """Whether it learns from nothing else, be it generated."""
        return self.objective in ("score_matching", "mirror")


def read_recipe(path: str) -> Recipe:
    """The recipe in the JSON file ``path``. Raises `SpecError` that lists everything wrong with it."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # a name that no file can have, bytes that are no text
        utf8 = isinstance(error, UnicodeDecodeError)
        reason = "it is no UTF-8 text" if utf8 else getattr(error, "strerror", None) or str(error)
        raise SpecError(f"{path}: cannot be read ({reason}); give a JSON training recipe") from error
    if len(data) > _MOST_BYTES:
        raise SpecError(f"{path}: longer than {_MOST_BYTES // 1_000_000} MB, so no training recipe; check the path")
    try:
        recipe = Recipe.model_validate_json(text)
    except ValidationError as error:
        raise SpecError([f"{path}: {_sentence(problem)}" for problem in error.errors()]) from error
    if not Path(recipe.output).name or "\0" in "".join([recipe.output, recipe.scenes or "", *recipe.files]):
        raise SpecError(f"{path}: options 'output', 'files' and 'scenes' name files; give names that a file can have")
    return recipe


def _sentence(problem: Mapping[str, Any]) -> str:
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        known = did_you_mean(name, Recipe.model_fields) or f"; the options are {', '.join(Recipe.model_fields)}"
        return f"unknown option '{name}'{known}"
    if problem["type"] == "missing":
        return f"option '{name}' is missing; give it"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if not name:
        return f"is no training recipe ({problem['msg']}); give a JSON object of options"
    return f"option '{name}': {problem['msg']}, not '{_short(problem['input'])}'"


def _short(value: Any) -> str:
    try:
        return printable(value, 60)
    except (ValueError, RecursionError):  # a number of thousands of digits, objects in objects
        return f"a value of type {type(value).__name__}"
