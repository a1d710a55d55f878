"""The page on theory leads to functions that are there."""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "theory.md"
#: What each idea that this stands on leads to: both stand in one section.
LEADS = {
    "energy": "deburr.nn.deburr.network.local_energies",
    "Energy": "deburr.nn.deburr.network.ScoreNetwork.energies",
    "outlier": "deburr.filters.outlier.Outlier",
    "PointCleanNet": "deburr.filters.spd.Spd",
    "ShapeGF": "deburr.nn.deburr.planes.build_graph",
    "Luo & Hu": "deburr.nn.spd.network.SpdNet",
    "Tweedie": "deburr.nn.deburr.network.ScoreNetwork",
    "Denoising score matching": "deburr.train.prepared.targets",
    "Noisier2Noise": "deburr.train.tiles.noisier",
    "Noise2Noise": "deburr.train.strips.Strips",
    "tr ∇s": "deburr.train.matching.loss",
    "Mirror": "deburr.train.mirror.loss",
    "β_t": "deburr.nn.schedule.BETA",
    "ᾱ_t": "deburr.nn.schedule.abar",
    "diffusion of its surface": "deburr.nn.schedule.time_of",
    "ancestral": "deburr.nn.schedule.steps_of",
    "Langevin": "deburr.nn.deburr.chains.gathered",
    "new points": "deburr.filters.upsample.Upsample",
}


def test_every_name_on_the_page_is_there() -> None:
    names = re.findall(r"`(deburr(?:\.\w+)+)`", PAGE.read_text("utf-8"))
    assert len(set(names)) >= 15
    for name in names:
        assert resolve_name(name) is not None, name


def test_every_section_leads_somewhere() -> None:
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        assert "`deburr." in section, section.splitlines()[0]


@pytest.mark.parametrize("idea", LEADS)
def test_every_idea_leads_to_its_function(idea: str) -> None:
    (found,) = (part for part in PAGE.read_text("utf-8").split("\n## ")[1:] if f"`{LEADS[idea]}`" in part)
    assert idea.lower() in found.lower()
