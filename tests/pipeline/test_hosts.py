"""Stages that another program runs: chosen, checked, taken together, and reported. The program here is made up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from pydantic import Field

from deburr.cli.main import cli
from deburr.core import registry
from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError, SpecError
from deburr.core.host import Host, HostError
from deburr.core.stage import Filter, Reader, Stage, Writer
from deburr.pipeline import describe, load, run
from deburr.pipeline.report import runs_in


class Elsewhere(Host):
    """Knows filters.lift, .cut, .join and .spoil and readers.dots; lists what it was asked to run at once."""

    name = "Elsewhere"
    here = True

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def version(self) -> str | None:
        return "1.2" if self.here else None

    def types(self) -> frozenset[str]:
        return frozenset(_CLASSES)

    def stage_class(self, type_name: str) -> type[Stage] | None:
        return _CLASSES.get(type_name) if self.here else None

    def by_extension(self, kind: str, extension: str) -> str | None:
        return f"{kind}.dots" if self.here and extension == "dots" and kind == "readers" else None

    def remedy(self) -> str:
        return "which is not installed; install it"

    def cuts(self, stage: Stage) -> bool:
        return stage.type_name == "filters.cut"

    def joins(self, stage: Stage) -> bool:
        return stage.type_name == "filters.join"

    def run(self, stages: Sequence[Stage], cloud: PointCloud | None) -> PointCloud:
        self.asked.append([stage.type_name for stage in stages])
        for stage in stages:
            if stage.type_name == "filters.spoil":
                raise HostError("it is spoilt; mend it", stage)
            if cloud is None:
                cloud = PointCloud(np.zeros((3, 3)))
            lifted = cloud.xyz + np.array([0, 0, getattr(stage, "by", 0.0)])
            figures = {"files": ["a", "b"]} if stage.type_name == "writers.blots" else {"of": "elsewhere"}
            cloud = cloud.with_xyz(lifted).note(stage.type_name, figures, f"{stage.type_name} warns")
        assert cloud is not None
        return cloud


HOST = Elsewhere()


class _Filter(Filter):
    host: ClassVar[Host | None] = HOST
    by: float = Field(0.0, description="how far up")

    def run(self, cloud: PointCloud) -> PointCloud:
        return HOST.run([self], cloud)


class Dots(Reader):
    type_name: ClassVar[str] = "readers.dots"
    host: ClassVar[Host | None] = HOST
    filename: str = ""

    def read(self) -> PointCloud:
        return HOST.run([self], None)


class Blots(Writer):
    type_name: ClassVar[str] = "writers.blots"
    host: ClassVar[Host | None] = HOST
    filename: str = ""

    @property
    def path(self) -> str | None:
        return None

    def write(self, cloud: PointCloud) -> PointCloud:
        return HOST.run([self], cloud)


class OtherNoise(_Filter):
    type_name: ClassVar[str] = "filters.noise"
    sigma: float = 0.0
    colour: str = Field("", description="an option that deburr's own filters.noise has not")


_CLASSES: dict[str, type[Stage]] = {
    "readers.dots": Dots,
    "writers.blots": Blots,
    "filters.noise": OtherNoise,
    **{
        f"filters.{name}": type(f"_{name}", (_Filter,), {"type_name": f"filters.{name}", "__module__": __name__})
        for name in ("lift", "cut", "join", "spoil")
    },
}


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    monkeypatch.setattr(registry, "hosts", lambda: (HOST,))
    for module in ("resolve", "describe"):
        monkeypatch.setattr(f"deburr.pipeline.{module}.hosts", lambda: (HOST,))
    HOST.asked.clear()
    HOST.here = True
    yield HOST
    HOST.here = True


POINTS = np.arange(12, dtype=np.float64).reshape(4, 3)


def lift(by: float) -> dict[str, Any]:
    return {"type": "filters.lift", "by": by}


def test_stages_that_follow_each_other_run_together(host: Elsewhere) -> None:
    spec = [lift(1), lift(2), {"type": "filters.noise", "sigma": 1e-9}, lift(4)]
    result = run(spec, points=POINTS)
    np.testing.assert_allclose(result.xyz - POINTS, [[0, 0, 7]] * 4, atol=1e-7)
    assert host.asked == [["filters.lift", "filters.lift"], ["filters.lift"]]


def test_the_report_says_what_is_known_of_each() -> None:
    spec = [lift(1), lift(2), {"type": "filters.noise", "sigma": 1e-9}]
    first, second, third = run(spec, points=POINTS).report["stages"]
    assert (first["runs_in"], second["runs_in"], third["runs_in"]) == ("Elsewhere 1.2", "Elsewhere 1.2", "deburr")
    assert (first["points_in"], first["points_out"], first["seconds"]) == (4, None, None)
    assert (second["points_in"], second["points_out"]) == (None, 4)
    assert second["seconds"] >= 0
    assert first["warnings"] == ["filters.lift warns"]
    assert second["figures"] == {"of": "elsewhere"}
    assert (third["points_in"], third["points_out"], third["warnings"]) == (4, 4, [])


def test_a_program_reads(tmp_path: Path, host: Elsewhere) -> None:
    assert load(["in.dots", lift(1), str(tmp_path / "out.ply")]).stages[0].type_name == "readers.dots"
    result = run(["in.dots", lift(1)])
    assert result.xyz.tolist() == [[0, 0, 1]] * 3
    assert host.asked == [["readers.dots", "filters.lift"]]
    # Without a file name, as its reader needs none.
    assert len(run([{"type": "readers.dots"}]).cloud) == 3


def test_the_stage_at_fault_is_named() -> None:
    with pytest.raises(RunError, match=r"^stage 2 \(filters.spoil\): it is spoilt; mend it$"):
        run([lift(1), {"type": "filters.spoil"}, lift(1)], points=POINTS)


def test_our_own_stage_is_taken_as_long_as_it_knows_the_options() -> None:
    def noise(**options: Any) -> str:
        return runs_in(load([{"type": "filters.noise", "sigma": 1.0, **options}], reads=False).stages[0])

    assert noise() == "deburr"
    assert noise(colour="red") == "Elsewhere 1.2"
    with pytest.raises(SpecError) as caught:
        noise(color="red", sigmo=1)
    # What neither knows is explained by our own.
    assert "unknown option 'sigmo'; did you mean 'sigma'?" in str(caught.value)


def test_behind_a_cut_all_runs_there() -> None:
    noise = {"type": "filters.noise", "sigma": 1.0}
    plan = load([{"type": "filters.cut"}, noise], reads=False)
    assert [runs_in(stage) for stage in plan.stages] == ["Elsewhere 1.2"] * 2
    with pytest.raises(SpecError) as caught:
        load([{"type": "filters.cut"}, "filters.spd"], reads=False)
    assert str(caught.value) == (
        "stage 2 (filters.spd): stands behind filters.cut, which cuts the cloud into parts that end where others "
        "begin, and Elsewhere has no such stage; put it before filters.cut"
    )
    load(["filters.spd", {"type": "filters.cut"}], reads=False)
    # What joins the parts again ends that.
    load([{"type": "filters.cut"}, {"type": "filters.join"}, "filters.spd"], reads=False)
    with pytest.raises(SpecError, match=r"stands behind filters\.cut"):
        load([{"type": "filters.join"}, {"type": "filters.cut"}, "filters.spd"], reads=False)


def test_without_the_program_one_sentence_says_what_to_do(host: Elsewhere) -> None:
    host.here = False
    with pytest.raises(SpecError) as caught:
        load([lift(1), {"type": "filters.qqqqqqq"}, {"type": "filters.nois"}], reads=False)
    assert caught.value.errors == (
        "stage 1 (filters.lift): 'filters.lift' is a stage of Elsewhere, which is not installed; install it",
        "stage 2 (filters.qqqqqqq): unknown stage type 'filters.qqqqqqq'; 'pipeline stages' lists all types",
        "stage 3 (filters.nois): unknown stage type 'filters.nois'; did you mean 'filters.noise'?",
    )


def test_near_names_of_both_are_proposed() -> None:
    with pytest.raises(SpecError) as caught:
        load([{"type": "filters.lifd"}, {"type": "filters.nois"}], reads=False)
    assert caught.value.errors == (
        "stage 1 (filters.lifd): unknown stage type 'filters.lifd'; did you mean 'filters.lift'?",
        "stage 2 (filters.nois): unknown stage type 'filters.nois'; did you mean 'filters.noise'?",
    )


def test_editors_know_the_types() -> None:
    schema = jsonschema.Draft202012Validator(describe.schema())
    assert schema.is_valid(["in.dots", {"type": "filters.lift", "by": 1}, {"type": "filters.spd"}])
    assert not schema.is_valid(["in.dots", {"type": "filters.lifd", "by": 1}])
    # Options of a stage that we have may be the other program's.
    assert schema.is_valid([{"type": "filters.noise", "sigma": 1, "colour": "red"}])
    assert not schema.is_valid([{"type": "filters.spd", "noize": 1}])


def test_validate_says_where_stages_run(tmp_path: Path) -> None:
    spec = json.dumps(["in.dots", "filters.lift", "filters.spd", str(tmp_path / "out.ply")])
    done = CliRunner().invoke(cli, ["validate", spec])
    assert [stage["runs_in"] for stage in json.loads(done.stdout)["stages"]] == [
        "Elsewhere 1.2",
        "Elsewhere 1.2",
        "deburr",
        "deburr",
    ]


def test_tiles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in.ply").write_text("ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\n"
                                     "property float z\nend_header\n")  # fmt: skip
    spec = json.dumps(["filters.lift"])
    done = CliRunner().invoke(cli, ["batch", spec, str(tmp_path / "in.ply"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "(filters.lift): runs in Elsewhere, which takes the whole cloud at once" in done.stderr
    file, out = str(tmp_path / "in.ply"), str(tmp_path / "out.ply")
    done = CliRunner().invoke(cli, ["run", spec, "--input", file, "--output", out, "--memory", "2GB"])
    assert done.exit_code == 2
    assert "not in tiles" in done.stderr


def test_the_summary_shows_the_program(tmp_path: Path) -> None:
    out = str(tmp_path / "out.ply")
    done = CliRunner().invoke(cli, ["run", json.dumps(["in.dots", lift(1), out])])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.split() == [out]
    assert "in Elsewhere 1.2, with the next" in done.stderr
    assert "warning: filters.lift warns" in done.stderr


def test_a_writer_elsewhere_tells_its_files() -> None:
    report = run([lift(1), {"type": "writers.blots"}], points=POINTS).report
    assert report["outputs"] == ["a", "b"]
