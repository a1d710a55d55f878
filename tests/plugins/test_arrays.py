"""`denoise_array`: the points of `pdal.Pipeline.arrays`, denoised as `pipeline run` does it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from deburr.core.errors import RunError, SpecError
from deburr.pipeline import run
from deburr.plugins import denoise_array


def rough(n: int = 300) -> npt.NDArray[np.void]:
    draw = np.random.default_rng(1)
    kinds = [("X", "f8"), ("Y", "f8"), ("Z", "f8"), ("Intensity", "u2"), ("Classification", "u1")]
    array = np.zeros(n, dtype=kinds)
    for name in "XY":
        array[name] = draw.uniform(0, np.sqrt(n), n)
    array["Z"] = draw.normal(0, 0.1, n)
    array["Intensity"] = np.arange(n)
    array["Classification"][: n // 2] = 2
    return array


def points(array: npt.NDArray[np.void]) -> npt.NDArray[np.float64]:
    return np.stack([array[name] for name in "XYZ"], axis=1)


def test_the_same_as_pipeline_run() -> None:
    array = rough()
    before = array.copy()
    options: dict[str, Any] = {
        "where": "Classification == 2",
        "dimensions": ["Uncertainty", "Displacement"],
        "noise": 0.1,
    }
    after = denoise_array(array, **options)
    dims = {"Classification": array["Classification"]}
    cloud = run([{"type": "filters.spd", **options}], points=points(array), dims=dims).cloud
    assert np.array_equal(points(after), cloud.xyz)
    assert after.dtype.names == (*array.dtype.names, "Uncertainty", "Displacement")
    assert np.array_equal(after["Displacement"], cloud.dims["Displacement"])
    assert np.array_equal(after["Intensity"], array["Intensity"])
    assert np.array_equal(array, before)
    assert not np.shares_memory(after, array)


def test_nothing_to_move_gives_a_copy() -> None:
    array = rough(10)
    with pytest.warns(UserWarning, match=r"denoise_array \(filters.spd\): 10 different points are too few"):
        after = denoise_array(array)
    assert np.array_equal(after, array)
    assert not np.shares_memory(after, array)


def test_types_stay() -> None:
    array = rough().astype([("X", ">f8"), ("Y", "f8"), ("Z", "f4"), ("Intensity", "u2"), ("Classification", "u1")])
    after = denoise_array(array)
    assert [after.dtype[name] for name in after.dtype.names] == [kind.newbyteorder("=") for kind, _ in
        array.dtype.fields.values()]  # fmt: skip
    assert np.abs(after["Z"] - array["Z"]).max() > 0


def test_flags_within_the_class() -> None:
    array = rough()
    array["Classification"][:40] |= 0x80
    held = denoise_array(array, flags_within=True)
    assert np.array_equal(held[:40], array[:40])
    assert np.array_equal(held["Classification"], array["Classification"])
    assert not np.array_equal(denoise_array(array)["Z"][:40], array["Z"][:40])


def test_units_of_the_crs() -> None:
    with pytest.warns(UserWarning, match="x and y are in degrees"):
        denoise_array(rough(), crs='GEOGCS["WGS 84",UNIT["degree",0.0174532925199433]]')


def test_mistakes() -> None:
    with pytest.raises(SpecError) as raised:
        denoise_array(rough(), nois=1, strength=3)
    assert len(raised.value.errors) == 2
    assert "denoise_array (filters.spd): unknown option 'nois'; did you mean 'noise'?" in raised.value.errors
    with pytest.raises(RunError, match="was given an array of float64; give a structured array"):
        denoise_array(np.zeros((3, 3)))  # type: ignore[arg-type]  # what is refused
    with pytest.raises(RunError, match="was given a list"):
        denoise_array([1])  # type: ignore[arg-type]  # what users may do
    with pytest.raises(RunError, match=r"denoise_array \(filters.spd\): the points have no Z"):
        denoise_array(np.zeros(3, dtype=[("X", "f8"), ("Y", "f8")]))


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, deburr.plugins; print([m for m in ('numpy', 'scipy', 'torch', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
    with pytest.raises(ImportError):
        from deburr.plugins import denoise_arrays  # type: ignore[attr-defined]  # noqa: F401  # a slip
