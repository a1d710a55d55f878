"""Every stage of deburr's own keeps the promises in `deburr.testing.contract`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from deburr.core.cloud import PointCloud
from deburr.core.registry import _own, stage_class
from deburr.core.stage import Filter, Reader, Writer
from deburr.pipeline import run
from deburr.testing import contract

#: Not what other packages have installed here.
STAGES = _own()
FILTERS = [name for name in STAGES if name.startswith("filters.")]
CLOUDS = {
    "empty": PointCloud(np.zeros((0, 3))),
    "one point": PointCloud([[500_000.0, 5_400_000.0, 100.0]]),  # type: ignore[arg-type]  # lists are converted
    "all equal": PointCloud(np.full((20, 3), 7.25)),
    "empty with columns": contract.surface(10).select(np.zeros(10, np.bool_)),
    "nothing active": PointCloud(np.random.default_rng(0).random((50, 3)), {"Withheld": np.ones(50, np.uint8)}),
}


def a_filter(type_name: str) -> Filter:
    stage = contract.build(type_name)
    assert isinstance(stage, Filter)
    return stage


@pytest.mark.parametrize("type_name", STAGES)
def test_a_stage_says_who_it_is(type_name: str) -> None:
    contract.check_declarations(type_name)
    kind = {"readers": Reader, "filters": Filter, "writers": Writer}[type_name.split(".")[0]]
    assert issubclass(stage_class(type_name), kind)


@pytest.mark.parametrize("type_name", STAGES)
def test_options_round_trip_through_json(type_name: str) -> None:
    contract.check_options_round_trip(type_name)


@pytest.mark.parametrize("type_name", STAGES)
def test_an_unknown_option_is_refused(type_name: str) -> None:
    options = contract.example_options(type_name)
    with pytest.raises(ValidationError, match="no_such_option"):
        stage_class(type_name).model_validate({**options, "no_such_option": 1})


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS.keys())
@pytest.mark.parametrize("type_name", FILTERS)
def test_clouds_without_a_surface_pass_through(type_name: str, cloud: PointCloud) -> None:
    stage = a_filter(type_name)
    result = contract.check_filter(stage, cloud)
    if type_name != "filters.noise":  # noise moves any active point, alone or not
        assert result.xyz.tobytes() == cloud.xyz.tobytes()


@pytest.mark.parametrize("type_name", FILTERS)
def test_a_filter_leaves_its_input_alone(type_name: str) -> None:
    contract.check_filter(a_filter(type_name), contract.surface())


@pytest.mark.parametrize("type_name", FILTERS)
def test_the_order_of_the_points_does_not_matter(type_name: str) -> None:
    # A point keeps its source row when the cloud is reordered, and its noise with it: no stage is exempt.
    contract.check_permutation(a_filter(type_name), contract.surface(600), tolerance=1e-4)


@pytest.mark.parametrize("type_name", FILTERS)
def test_tiled_equals_whole(type_name: str) -> None:
    stage = a_filter(type_name)
    if stage.reach({}) is None:
        pytest.skip("must see the whole cloud")
    for cloud in (contract.surface(), contract.surface(60)):
        # The network computes in float32, its planes about each tile's own middle.
        contract.check_tiles(stage, cloud, side=3.0, halo=1.0, tolerance=1e-6 if type_name == "filters.spd" else 0.0)


@pytest.mark.parametrize("type_name", [name for name in STAGES if name.startswith("writers.")])
def test_a_writer_leaves_the_points_alone_and_its_reader_finds_them(type_name: str, tmp_path: Path) -> None:
    contract.check_writer(type_name, tmp_path)
    cloud, path = contract.surface(50), tmp_path / contract.example_options(type_name)["filename"]
    again = run([str(path)]).cloud
    for name, column in cloud.dims.items():
        assert (again.dims[name] == column).all(), name


@pytest.mark.parametrize("type_name", [name for name in STAGES if name.startswith("readers.")])
def test_a_reader_names_a_missing_file(type_name: str, tmp_path: Path) -> None:
    contract.check_reader(type_name, tmp_path)
