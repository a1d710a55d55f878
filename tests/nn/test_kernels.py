"""The compiled kernels do what plain torch does, which defines what is right."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deburr.core.errors import RunError
from deburr.nn.contract import Settings
from deburr.nn.deburr import kernels
from deburr.nn.deburr.blocks import Blocks, helping
from deburr.nn.deburr.default import Default
from deburr.nn.deburr.far import look_far
from deburr.nn.deburr.inputs import Scene
from deburr.nn.deburr.kernels import arithmetic, door, products
from deburr.nn.deburr.layer import Sizes
from deburr.nn.deburr.network import ScoreNetwork
from deburr.nn.deburr.planes import HOPS, Graph, Planes, build_graph, fit_planes, spread
from deburr.nn.deburr.thinned import copies, look

Array = np.ndarray


def points(count: int = 3000) -> Array:
    """A bent floor with a wall, noise of a third of the spacing, and some points in the air."""
    rng = np.random.default_rng(5)
    floor = rng.uniform(0, 50, (count, 3))
    floor[:, 2] = np.sin(floor[:, 0] / 8)
    floor[: count // 4] = floor[: count // 4, [0, 2, 1]] * [1, 1, 0.2]
    floor[-20:, 2] += rng.uniform(2, 30, 20)
    return floor + rng.normal(0, 0.3, floor.shape)


@pytest.fixture(autouse=True)
def _again() -> Iterator[None]:
    """Whether kernels can be loaded is asked anew by each test."""
    kernels._ready.cache_clear()
    yield
    kernels._ready.cache_clear()


def seen(graph: Graph, wider: int, compiled: bool, size: int | None = None) -> Planes:
    blocks = Blocks(len(graph.spacing), size, compiled=compiled)
    planes = fit_planes(graph, wider, blocks)
    look_far(planes, graph, copies(graph), blocks=blocks)
    return planes


def alike(found: Planes, wanted: Planes, spacing: float = 1.0) -> None:
    """Means and thicknesses to a millionth of the spacing; normals, whose sign means nothing, where they are ones."""
    assert (found.means - wanted.means).abs().max() < 1e-6 * max(spacing, float(wanted.means.abs().max()))
    assert (found.variances - wanted.variances).abs().max() < 1e-6 * float(wanted.variances.max())
    flat = wanted.variances[..., 0] < 0.9 * wanted.variances[..., 1]
    assert flat.float().mean() > 0.9
    assert ((found.normals * wanted.normals).sum(-1).abs()[flat] > 1 - 1e-5).all()


@pytest.mark.parametrize("wider", [1, 2, 4])
def test_planes_are_those_of_plain_torch(wider: int) -> None:
    graph = build_graph(points())
    assert kernels.loaded(True) is door
    assert kernels.loaded(False) is None
    alike(seen(graph, wider, compiled=True, size=700), seen(graph, wider, compiled=False))


def test_planes_of_equal_distances_and_of_a_line_are_those_of_plain_torch() -> None:
    """A lattice, where many are equally far, and points on one line, which spans no plane."""
    lattice = np.stack(np.meshgrid(*3 * [np.arange(12.0)]), -1).reshape(-1, 3)
    line = np.linspace(0, 300, 1500)[:, None] * [1.0, 2.0, 3.0]
    for xyz in (lattice, line):
        graph = build_graph(xyz)
        found, wanted = seen(graph, 1, compiled=True), seen(graph, 1, compiled=False)
        assert torch.allclose(found.means, wanted.means, atol=1e-6)
        assert torch.allclose(found.variances, wanted.variances, atol=1e-6)
        assert torch.isfinite(found.normals).all()
        assert torch.allclose(found.normals.norm(dim=-1), torch.ones(()), atol=1e-6)


@pytest.mark.parametrize(
    ("width", "kind"), [(16, torch.float32), (9, torch.float64), (3, torch.float64), (5, torch.float32)]
)
def test_averages_are_those_of_plain_torch(width: int, kind: torch.dtype) -> None:
    """Of widths that the kernels are made for, and of others."""
    graph = build_graph(points())
    values = torch.randn(len(graph.spacing), width, generator=torch.Generator().manual_seed(1)).to(kind)
    before = values.clone()
    blocks = Blocks(len(values), 500)
    wanted = spread(graph, values, 5, replace(blocks, compiled=False))
    assert torch.allclose(spread(graph, values, 5, blocks), wanted, atol=1e-6)
    assert torch.equal(spread(graph, values, 0, blocks), values)
    assert torch.equal(values, before)


def test_what_judges_are_shown_is_that_of_plain_torch() -> None:
    """Of neighbourhoods in thinned copies, too, with points beside their doubles and lines that span no plane."""
    xyz = points(6000)
    xyz[:40] = xyz[40:80] + 1e-9
    xyz[80:400] = np.linspace(0, 40, 320)[:, None] * [1.0, 2.0, 3.0]
    graph = build_graph(xyz)
    wanted = look(graph, xyz, len(xyz)).shapes
    assert kernels.loaded(True) is door
    for size in (None, 700):
        found = look(graph, xyz, len(xyz), Blocks(len(xyz), size)).shapes
        away = (found - wanted).abs().max(1).values
        # Where a neighbourhood is as thick as it is broad, rounding decides which way is up.
        assert away.quantile(0.95) < 1e-5
        assert (away < 1e-3).float().mean() > 0.99


@given(st.floats(-100, 100, width=32))
@settings(deadline=None)
def test_turns_are_cosine_and_sine(x: float) -> None:
    cosine, sine = arithmetic.turns(np.float32(x))
    assert cosine == pytest.approx(np.cos(2 * np.pi * x), abs=2e-6)
    assert sine == pytest.approx(np.sin(2 * np.pi * x), abs=2e-6)


def scored(network: ScoreNetwork, there: Scene, blocks: Blocks) -> tuple[torch.Tensor, torch.Tensor]:
    count = len(there.noise)
    found, opened = door.Scores(network, there).of(torch.arange(count), [count] * (len(network.layers) + 2), blocks)
    return found, opened


def scene(noise: float = 0.3) -> Scene:
    graph = build_graph(points())
    level = torch.full((len(graph.spacing),), noise / graph.unit)
    # No two points are told the same.
    return Scene(graph, seen(graph, 1, compiled=True), level * torch.linspace(0.5, 1.5, len(level)))


@pytest.mark.parametrize("noise", [0.001, 0.3, 3.0])
def test_scores_are_those_of_plain_torch(noise: float) -> None:
    network, there = Default.load().score, scene(noise)
    blocks = Blocks(len(there.noise), 700)
    assert door.fits(network, there)
    with torch.inference_mode():
        wanted, gates = network(there, blocks)
    found, opened = scored(network, there, blocks)
    longest = float(wanted.abs().max())
    assert longest > 0.001 * noise
    assert (found - wanted).abs().max() < 1e-5 * max(longest, 1.0)
    assert (opened - gates).abs().max() < 1e-5


def test_scores_are_the_same_in_blocks_of_any_size_and_by_any_number_of_threads() -> None:
    network, there = Default.load().score, scene()
    wanted, gates = scored(network, there, Blocks(len(there.noise), 4096))
    for size in (64, 1000):
        with helping(3) as helpers:
            found, opened = scored(network, there, Blocks(len(there.noise), size, helpers))
        assert torch.equal(found, wanted)
        assert torch.equal(opened, gates)


def test_scores_of_one_part_after_another_are_those_of_the_whole() -> None:
    """However much memory the part before needed."""
    network, there = Default.load().score, scene()
    wanted, gates = scored(network, there, Blocks(len(there.noise)))
    run = door.Scores(network, there)
    for rows in (torch.arange(500, 700), torch.arange(2000), torch.arange(2900, 3000)):
        seen, counts = there.graph.rings(rows, len(network.layers) + 1)
        assert counts[0] == len(rows) < counts[1] <= counts[-1] == len(seen)
        found, opened = run.of(seen, counts, Blocks(len(seen), 300))
        assert torch.equal(found, wanted[rows])
        assert torch.equal(opened, gates[rows])


def test_networks_of_other_sizes_are_computed_by_plain_torch() -> None:
    """With any number of layers, channels and heads that are whole steps of the processor the kernels go on."""
    torch.manual_seed(3)
    there = scene()
    for sizes, fits in (
        (Sizes(channels=32, heads=4, layers=2, values=8), True),
        (Sizes(channels=64, heads=8, values=48), True),
        (Sizes(vectors=3), False),
        (Sizes(heads=5), False),
        (Sizes(channels=20), False),
    ):
        network = ScoreNetwork(sizes)
        assert door.fits(network, there) == fits
        if fits:
            blocks = Blocks(len(there.noise), 900)
            with torch.inference_mode():
                wanted, _ = network(there, blocks)
            assert (scored(network, there, blocks)[0] - wanted).abs().max() < 1e-5
    few = replace(there, graph=replace(there.graph, neighbors=there.graph.neighbors[:, :9]))
    assert not door.fits(Default.load().score, few)


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (7, 13, 24), (32, 220, 48), (40, 48, 101)])
def test_products_are_those_of_numpy(rows: int, inputs: int, outputs: int) -> None:
    """Of sizes that fill the processor's registers, and of others."""
    rng = np.random.default_rng(2)
    a, weight, bias = rng.normal(size=(64, inputs)), rng.normal(size=(outputs, inputs)), rng.normal(size=outputs)
    packed = products.packed(weight, bias)
    found = np.zeros((64, len(packed[1])), np.float32)
    products.product(rows, a.astype(np.float32), *packed, found)
    np.testing.assert_allclose(found[:rows, :outputs], (a @ weight.T + bias)[:rows], atol=2e-4)
    assert not found[:, outputs:].any()
    assert not found[rows + products.ROWS :].any()


@pytest.mark.parametrize("heads", [2, 6, 10])
def test_sums_over_neighbours_are_those_of_numpy(heads: int) -> None:
    rng = np.random.default_rng(3)
    near, told = rng.integers(0, 50, (50, 16), np.int32), products.room(50, 2 * products.WIDTH)
    told[:] = rng.normal(size=told.shape)
    weights = rng.random((50, heads, 16)).astype(np.float32)
    weights[..., -1] = 0
    found = np.empty((20, heads, told.shape[1]), np.float32)
    products.sums(30, 50, near, weights, told, found)
    np.testing.assert_allclose(found, np.einsum("nhk,nkc->nhc", weights, told[near])[30:], atol=1e-5)


def test_a_cloud_is_denoised_alike_by_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit."""
    monkeypatch.setenv(kernels.VARIABLE, "compiled")
    xyz, found = points(10_000), []
    for threads in ("1", "3"):
        monkeypatch.setenv("DEBURR_THREADS", threads)
        one = Default.load().denoise(xyz, Settings())
        assert one.uncertainty is not None
        found.append((one.xyz, one.uncertainty))
    assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("noise", [None, 0.3])
def test_a_cloud_is_denoised_as_by_plain_torch(monkeypatch: pytest.MonkeyPatch, noise: float | None) -> None:
    """Within a hundred-thousandth of the spacing, of about 0.9."""
    xyz = points()
    monkeypatch.setenv(kernels.VARIABLE, "torch")
    wanted = Default.load().denoise(xyz, Settings(noise=noise))
    monkeypatch.setenv(kernels.VARIABLE, "compiled")
    found = Default.load().denoise(xyz, Settings(noise=noise))
    assert np.abs(wanted.xyz - xyz).max() > 0.1
    assert not np.array_equal(found.xyz, wanted.xyz)
    assert np.abs(found.xyz - wanted.xyz).max() < 1e-5
    assert found.figures["noise"] == pytest.approx(wanted.figures["noise"], rel=1e-5)


def test_the_size_of_the_whole_cloud_decides_unless_somebody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "FEWEST", 1000)
    monkeypatch.delenv(kernels.VARIABLE, raising=False)
    assert [kernels.wanted(count) for count in (999, 1000)] == [False, True]
    for asked, wanted in (("torch", False), ("compiled", True)):
        monkeypatch.setenv(kernels.VARIABLE, asked)
        assert [kernels.wanted(count) for count in (999, 1000)] == [wanted, wanted]
    monkeypatch.setenv(kernels.VARIABLE, "fast")
    with pytest.raises(RunError, match="DEBURR_KERNELS: must be 'compiled' or 'torch', not 'fast'; set it or unset it"):
        kernels.wanted(1)


def test_where_they_cannot_be_loaded_plain_torch_is_used_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(kernels.VARIABLE, "torch")
    wanted = Default.load().denoise(points(), Settings()).xyz
    monkeypatch.setenv(kernels.VARIABLE, "compiled")
    monkeypatch.setitem(sys.modules, "deburr.nn.deburr.kernels.door", None)
    with caplog.at_level(logging.WARNING):
        found = Default.load().denoise(points(), Settings()).xyz
        Default.load().denoise(points(), Settings())
    told = [record.getMessage() for record in caplog.records if "kernels" in record.getMessage()]
    assert len(told) == 1
    assert "cannot be used (ModuleNotFoundError" in told[0]
    assert "plain torch does the same, several times slower" in told[0]
    assert np.array_equal(found, wanted)


@arithmetic.kernel
def _each(numbers: Array, powers: Array, logarithms: Array) -> None:
    for i in range(len(numbers)):
        powers[i] = arithmetic.exp(numbers[i])
        logarithms[i] = arithmetic.log1p(abs(numbers[i]))


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.floats(-86, 86, width=32), min_size=1, max_size=40))
def test_exponentials_and_logarithms_are_right_to_the_last_places(numbers: list[float]) -> None:
    given = np.array(numbers, np.float32)
    powers, logarithms = np.empty_like(given), np.empty_like(given)
    _each(given, powers, logarithms)
    np.testing.assert_allclose(powers, np.exp(given.astype(np.float64)), rtol=4e-7)
    np.testing.assert_allclose(logarithms, np.log1p(np.abs(given.astype(np.float64))), rtol=2e-7, atol=7e-8)


def test_planes_of_hops_alone_stand_where_copies_have_too_few_points() -> None:
    graph = build_graph(points(200))
    planes = seen(graph, 1, compiled=True)
    assert torch.equal(planes.means[:, len(HOPS) - 1], planes.means[:, -1])
