"""The graph and the planes of the default network, against answers computed by hand or by plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deburr.core.errors import RunError
from deburr.nn.deburr import planes
from deburr.nn.deburr.planes import HOPS, SCALES, Graph, build_graph, fit_planes, smallest_axis
from deburr.nn.level import widening


def sheet(count: int = 400, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack((rng.uniform(0, 20, count), rng.uniform(0, 20, count), np.zeros(count)), 1)


def six(matrices: torch.Tensor) -> torch.Tensor:
    return torch.stack([matrices[:, i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))], -1)


def test_smallest_axis_agrees_with_a_library_eigensolver() -> None:
    torch.manual_seed(0)
    factors = torch.randn(500, 3, 3, dtype=torch.float64)
    matrices = factors @ factors.mT
    values, axis = smallest_axis(six(matrices))
    expected, vectors = torch.linalg.eigh(matrices)
    assert torch.allclose(values, expected, atol=1e-12)
    assert torch.allclose((axis * vectors[:, :, 0]).sum(-1).abs(), torch.ones(500, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize(
    ("diagonal", "expected"),
    [((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), ((4.0, 0.0, 9.0), (0.0, 4.0, 9.0))],
)
def test_smallest_axis_of_degenerate_matrices(diagonal: tuple[float, ...], expected: tuple[float, ...]) -> None:
    values, axis = smallest_axis(six(torch.diag(torch.tensor(diagonal, dtype=torch.float64))[None]))
    assert torch.allclose(values[0], torch.tensor(expected, dtype=torch.float64), atol=1e-12)
    assert float(axis.norm()) == pytest.approx(1.0)


def test_graph_weights_end_at_the_last_neighbour_and_spacing_is_that_of_a_square_grid() -> None:
    side = np.arange(30.0) * 2.0
    points = np.array([(x, y, 0.0) for x in side for y in side])
    graph = build_graph(points)
    # The 16th neighbour on a square grid of step 2 lies at sqrt(5) steps: s = 2 sqrt(5) sqrt(pi / 16).
    assert graph.unit == pytest.approx(2 * np.sqrt(5) * np.sqrt(np.pi / 16))
    middle = 15 * 30 + 15
    assert float(graph.window[middle, -1]) == 0.0
    assert float(graph.window[middle, 0]) == pytest.approx(1 - 4 / 20)
    assert float(graph.spacing[middle]) == pytest.approx(1.0, abs=1e-6)


def averaging_matrix(graph: Graph) -> np.ndarray:
    """One averaging hop by loops over points, (N, N)."""
    count = len(graph.points)
    weights = np.eye(count)
    for i in range(count):
        for j, w in zip(graph.neighbors[i].tolist(), graph.window[i].tolist(), strict=True):
            weights[i, j] += w
    return np.asarray(weights / weights.sum(1, keepdims=True))


@pytest.mark.parametrize("wider", [1, 2])
def test_hops_are_repeated_weighted_means(wider: int) -> None:
    points = sheet(60)
    points[:, 2] = np.random.default_rng(1).normal(0, 0.1, 60)
    graph = build_graph(points, unit=1.0)
    planes = fit_planes(graph, wider)
    local = graph.points.numpy()
    for scale, hops in enumerate(HOPS):
        w = np.linalg.matrix_power(averaging_matrix(graph), wider * hops)
        for i in (0, 17, 59):
            mean = w[i] @ local
            covariance = (local - mean).T @ np.diag(w[i]) @ (local - mean)
            assert planes.means[i, scale].numpy() == pytest.approx(mean - local[i], abs=1e-6)
            values, vectors = np.linalg.eigh(covariance)
            assert planes.variances[i, scale].numpy() == pytest.approx(values, abs=1e-6)
            assert abs(float(vectors[:, 0] @ planes.normals[i, scale].numpy())) == pytest.approx(1.0, abs=1e-5)


def test_the_gradient_of_averaging_is_its_transpose() -> None:
    graph = build_graph(sheet(50), unit=1.0)
    values = torch.randn(50, 3, requires_grad=True)
    toward = torch.randn(50, 3)
    matrix = planes.averaging_matrix(graph, slice(0, 50), torch.float32)
    (planes.average(values, matrix, matrix.t().to_sparse_csr(), 3) * toward).sum().backward()
    three = np.linalg.matrix_power(averaging_matrix(graph), 3)
    assert values.grad is not None
    assert values.grad.numpy() == pytest.approx(three.T @ toward.numpy(), abs=1e-5)


def test_planes_widen_with_the_noise() -> None:
    assert [widening(noise) for noise in (0.0, 0.8, 0.9, 1.7, 1.9, 40.0)] == [1, 1, 2, 2, 4, 4]


def test_a_part_of_a_graph_holds_all_that_is_reached() -> None:
    """Two hops from a few points by sets; inside, the part's neighbours are the whole's."""
    graph = build_graph(sheet(400), unit=1.0)
    expected = set(range(40, 60))
    for _ in range(2):
        expected |= {j for i in expected for j in graph.neighbors[i].tolist()}
    seen = graph.around(slice(40, 60), 2)
    assert seen.tolist() == sorted(expected)
    ringed, counts = graph.rings(torch.arange(40, 60), 2)
    assert ringed[:20].tolist() == list(range(40, 60))
    assert ringed[: counts[1]].sort().values.tolist() == graph.around(slice(40, 60), 1).tolist()
    assert sorted(ringed.tolist()) == sorted(expected)
    assert counts == [20, len(graph.around(slice(40, 60), 1)), len(expected)]
    part = graph.part(seen)
    for new, old in enumerate(seen.tolist()):
        if 40 <= old < 60:
            assert seen[part.neighbors[new].long()].tolist() == graph.neighbors[old].tolist()
            assert part.offsets(slice(new, new + 1)).equal(graph.offsets(slice(old, old + 1)))


def test_planes_stay_exact_far_from_the_middle() -> None:
    """Noise of a hundredth of the spacing must be told apart 1,000 spacings from the middle."""
    near = sheet(300)
    near[:, 2] = np.random.default_rng(2).normal(0, 0.01, 300)
    alone = fit_planes(build_graph(near, unit=1.0))
    far = np.concatenate((near, near + np.array([2000.0, 0.0, 0.0])))
    both = fit_planes(build_graph(far, unit=1.0))
    assert torch.allclose(alone.variances, both.variances[:300], rtol=1e-4, atol=1e-9)
    assert both.normals.shape[1] == SCALES


def test_one_point_far_away_spoils_no_other() -> None:
    """A scanner's missing return at (0, 0, 0) lies 10^8 spacings from a cloud in projected coordinates."""
    near = sheet(300)
    near[:, 2] = np.random.default_rng(2).normal(0, 0.01, 300)
    alone = fit_planes(build_graph(near, unit=1.0))
    both = fit_planes(build_graph(np.concatenate((near, [[-1e8, -1e8, 0.0]])), unit=1.0))
    assert torch.allclose(alone.variances, both.variances[:300], rtol=1e-4, atol=1e-9)
    assert torch.isfinite(both.variances).all()


def test_a_point_beyond_float32_is_refused() -> None:
    with pytest.raises(RunError, match=r"a point lies .* times the usual spacing; remove such points"):
        build_graph(np.concatenate((sheet(300), [[1e30, 0.0, 0.0]])))
