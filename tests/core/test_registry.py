"""Stages are found by their modules, and third parties' by their entry points."""

from __future__ import annotations

from typing import ClassVar

import pytest

from deburr.core import entries, registry
from deburr.core.cloud import PointCloud
from deburr.core.entries import Entries, Point
from deburr.core.errors import SpecError
from deburr.core.stage import Filter


class Foreign(Filter):
    """A filter of another package."""

    type_name: ClassVar[str] = "filters.foreign"

    def run(self, cloud: PointCloud) -> PointCloud:
        return cloud


@pytest.fixture
def with_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Point(name, f"{__name__}:Foreign", "tools") for name in ("filters.foreign", "filters.spd")]
    monkeypatch.setattr(entries, "points", lambda group: found)
    monkeypatch.setattr(Point, "load", lambda _: Foreign)
    monkeypatch.setattr(registry, "_STAGES", Entries("deburr.stages", "stage", registry._own, registry._fault))


def test_every_type_is_its_module_and_helpers_are_none() -> None:
    assert "filters.spd" in registry.stage_types()
    assert not any("._" in name for name in registry.stage_types())
    for name in registry.stage_types():
        assert registry.stage_class(name).type_name == name


def test_an_unknown_type_is_refused_with_a_guess() -> None:
    with pytest.raises(SpecError, match=r"unknown stage type 'filters.spdd'; did you mean 'filters.spd'\?"):
        registry.stage_class("filters.spdd")


@pytest.mark.usefixtures("with_foreign")
def test_foreign_stages_come_last_and_replace_none_of_ours() -> None:
    assert registry.stage_types()[-1] == "filters.foreign"
    assert registry.stage_class("filters.foreign") is Foreign
    assert registry.stage_class("filters.spd") is not Foreign
