"""PDAL as a host, as far as it can be tested without PDAL: its absence, its lists, its options."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from deburr.cli.main import cli
from deburr.core import registry
from deburr.core.errors import SpecError
from deburr.pipeline import load
from deburr.plugins.pdal.host import host as pdal_host
from deburr.plugins.pdal.host.host import Pdal, PdalWriter
from deburr.plugins.pdal.names import KNOWN


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Pdal:
    """A host that cannot import PDAL's bindings."""
    monkeypatch.setitem(sys.modules, "pdal", None)
    return used(Pdal(), monkeypatch)


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> Pdal:
    """A host with bindings that say a version, and a command that lists three stages."""
    listed: dict[str, list[Any]] = {
        "--drivers": [
            {"name": "filters.lift", "extensions": []},
            {"name": "readers.dots", "extensions": ["dots", "dot"]},
            {"name": "writers.unlisted", "extensions": ["tif"]},
        ],
        "--options": [
            ["filters.lift", [{"name": "by", "description": "How far", "default": "1"}, {"name": "class"}]],
            ["readers.dots", [{"name": "filename"}, {"name": "count", "description": "How many"}]],
            ["writers.unlisted", None],
        ],
    }
    monkeypatch.setitem(sys.modules, "pdal", SimpleNamespace(info=SimpleNamespace(version="9.8.7")))
    monkeypatch.setattr(pdal_host, "_listed", lambda *words: listed[words[0]])
    return used(Pdal(), monkeypatch)


def used(host: Pdal, monkeypatch: pytest.MonkeyPatch) -> Pdal:
    monkeypatch.setattr(registry, "hosts", lambda: (host,))
    monkeypatch.setattr("deburr.pipeline.resolve.hosts", lambda: (host,))
    return host


def test_without_pdal_its_stages_are_known_by_name(absent: Pdal) -> None:
    assert absent.version() is None
    with pytest.raises(SpecError) as caught:
        load(["in.las", {"type": "filters.smrf"}, "readers.copc", {"type": "filters.smurf"}, "out.las"])
    first, second, *others = caught.value.errors
    assert first.startswith(
        "stage 2 (filters.smrf): 'filters.smrf' is a stage of PDAL, whose Python bindings cannot be used here "
        "(import of pdal halted; None in sys.modules); install them, for example by 'conda install"
    )
    assert "'readers.copc' is a stage of PDAL" in second
    assert any("unknown stage type 'filters.smurf'" in error for error in others)


def test_validate_says_so_with_exit_code_2(absent: Pdal) -> None:
    done = CliRunner().invoke(cli, ["validate", json.dumps(["a.las", "filters.pmf", "b.las"])])
    assert done.exit_code == 2
    (error,) = json.loads(done.stdout)["error_detail"]
    assert "'filters.pmf' is a stage of PDAL" in error


def test_none_of_our_own_is_taken_for_one_of_pdal_s_alone() -> None:
    shared = KNOWN & set(registry.stage_types())
    both = {f"{kind}.{name}" for kind in ("readers", "writers") for name in ("las", "pcd", "ply", "text")}
    assert shared == {"filters.merge", "filters.outlier", "readers.e57", "writers.copc", "writers.e57", *both}


def test_options_are_those_that_pdal_lists(present: Pdal) -> None:
    plan = load([{"type": "filters.lift", "by": "2.5", "class": [1, 2], "tag": "up"}], reads=False)
    (stage,) = plan.stages
    assert plan.as_json() == [{"type": "filters.lift", "tag": "up", "by": "2.5", "class": [1, 2]}]
    assert stage.tag == "up"
    with pytest.raises(SpecError, match=r"unknown option 'clas'; did you mean 'class'\?"):
        load([{"type": "filters.lift", "clas": 1}], reads=False)
    done = CliRunner().invoke(cli, ["stages", "filters.lift"])
    assert "How far (PDAL's default: 1)" in " ".join(done.stdout.split())


def test_where_pdal_lists_no_options_any_will_do(present: Pdal) -> None:
    written = {"type": "writers.unlisted", "filename": "x.tif", "anything": {"a": 1}}
    assert load([written], reads=False).as_json() == [written]


def test_extensions_lead_to_pdal_s_stages(present: Pdal) -> None:
    plan = load(["in.dot", "filters.lift", "out.tif"])
    assert [stage.type_name for stage in plan.stages] == ["readers.dots", "filters.lift", "writers.unlisted"]
    # An extension of our own is ours.
    assert load(["in.dots", "filters.spd", "out.las"]).stages[-1].host is None


@pytest.mark.parametrize(
    ("filename", "path"),
    [
        ("dtm.tif", "dtm.tif"),
        ("", None),
        ("STDOUT", None),
        ("/vsimem/a", None),
        ("s3://b/c.las", None),
        ("/dev/stdout", None),
    ],
)
def test_only_local_files_are_put_in_place(filename: str, path: str | None) -> None:
    assert PdalWriter(filename=filename).path == path


def test_a_listing_that_fails_leaves_options_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert pdal_host._listed("--drivers") == []
