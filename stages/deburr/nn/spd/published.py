"""The published SPD network on whole clouds: patches, ascent, and every point back in its row."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi, sqrt

import numpy as np
import torch
from torch import Tensor

from deburr.core.arrays import Floats
from deburr.core.cloud import Frame
from deburr.core.errors import ReadError
from deburr.core.frames import unit_sphere_frame
from deburr.core.neighbors import Indices, Neighbors, threads
from deburr.core.progress import advance
from deburr.nn import weights as files
from deburr.nn.contract import PATCHES, Denoised, Settings
from deburr.nn.deburr.blocks import worker_pool
from deburr.nn.device import torch_device
from deburr.nn.points import canonical, limited
from deburr.nn.spd.knn_patches import Cover, cover
from deburr.nn.spd.network import GRAPH_NEIGHBORS, Head, SpdNet

STEPS, STEP_SIZE, STEP_DECAY, ENSEMBLE = 30, 0.2, 0.95, 4
#: The spacing of what the network was trained on (10,000 to 50,000 points in the unit sphere), 30,000 points' worth.
TRAINED_SPACING = 0.015
#: Points this many spacings beyond a patch's own are moved with them, so that its own feel no border.
MARGIN = 2.0
#: Patches at a time: on a processor their activations stay small, on a GPU they fill it.
BATCH = {"cpu": 4, "cuda": 64}


class Published:
    """The network of Luo & Hu (ICCV 2021) with its sampler, for ``model: "spd"``."""

    def __init__(self, net: SpdNet) -> None:
        self.net = net.eval()

    @classmethod
    def load(cls, weights: str | None) -> Published:
        """The network with imported weights. Raises `deburr.core.errors.ReadError`."""
        if weights is None:
            raise ReadError(
                "model 'spd' has no bundled weights; import a checkpoint with 'pipeline weights import' "
                "and name the result in 'weights'"
            )
        net = SpdNet()
        tensors, _ = files.read(weights, model="spd")
        files.fit(weights, net, tensors)
        return cls(net)

    def denoise(self, xyz: Floats, settings: Settings) -> Denoised:
        """Move ``xyz`` (N, 3) float64, world coordinates, N > 16 different points; rows stay.

        Equal points move together. Where the settings name no frame the cloud is put in its unit sphere, as the
        network was trained; no patches, and they are those of `PATCHES`.
        """
        frame = network_frame(xyz, settings.frame)
        patches = settings.patches or PATCHES["knn"]
        points, back = canonical(xyz)
        local = (points - frame.offset) / frame.scale
        size = max(patches.size, GRAPH_NEIGHBORS + 1)
        covering = cover(local, size, patches.overlap)
        moved = self._climb(local, covering, settings)
        step = limited(moved * frame.scale * settings.strength, settings.max_displacement)
        length = np.linalg.norm(step, axis=1)
        figures = {
            "patches": len(covering.rows),
            "patch_points": covering.rows.shape[1],
            "frame": frame.kind,
            "frame_scale": frame.scale,
            "displacement_median": float(np.median(length)),
            "displacement_max": float(length.max()),
        }
        return Denoised(xyz + step[back], figures)

    def _climb(self, local: Floats, covering: Cover, settings: Settings) -> Floats:
        """Displacements (N, 3) of ``local`` (N, 3), each point's from the patch that owns it."""
        device = torch_device(settings.device)
        net = self.net.to(device)
        with torch.inference_mode():
            head = Head(net.score)
        moved = np.zeros_like(local)
        done = 0

        def climb(task: tuple[Indices, int]) -> tuple[Indices, Floats]:
            """The points that a batch of patches owns, and their displacements (M, 3)."""
            batch, count = task
            rows = covering.rows[batch]
            near = rows[:, :count]
            with torch.inference_mode():
                patch = torch.from_numpy(local[rows].astype(np.float32)).to(device)
                features = net.features(patch)[:, :count]
                # The ascent needs differences only: centred on its seed, a patch keeps every bit of them.
                start = torch.from_numpy((local[near] - local[rows[:, :1]]).astype(np.float32)).to(device)
                steps = (ascend(head, start, features, settings) - start).cpu().numpy().astype(np.float64)
            mine = covering.owner[near] == batch[:, None]
            return near[mine], steps[mine]

        with worker_pool(threads() if device.type == "cpu" else 1) as pool:
            for points, steps in pool.map(climb, batches(covering, BATCH[device.type])):
                moved[points] = steps
                done += len(points)
                advance("denoising", done, len(local))
        return moved


def network_frame(xyz: Floats, frame: Frame | None) -> Frame:
    """The frame the network sees: a unit sphere, or one in which the points are as dense as those of its training."""
    if frame is None:
        return unit_sphere_frame(xyz)
    if frame.kind == "spacing":
        return Frame("spacing", frame.scale / TRAINED_SPACING, frame.offset)
    return frame


def batches(covering: Cover, patches: int) -> Iterator[tuple[Indices, int]]:
    """Rows of up to ``patches`` patches, and how many of their points (nearest to the seed first) have to be moved.

    A patch owns the points nearest to its seed and moves a margin around them; of the rest it takes only features.
    On a surface the k-th neighbour lies sqrt(k / pi) spacings away.
    """
    size = covering.rows.shape[1]
    last = np.full(len(covering.rows), -1)
    np.maximum.at(last, covering.owner, covering.rank)
    need = np.minimum(size, np.ceil((np.sqrt(last + 1) + sqrt(pi) * MARGIN) ** 2).astype(np.intp))
    (owning,) = np.nonzero(last >= 0)
    # Patches of like need share a batch, which moves as many points as its neediest.
    order = owning[np.argsort(need[owning], kind="stable")]
    for start in range(0, len(order), patches):
        batch = order[start : start + patches]
        yield batch, int(need[batch].max())


def ascend(head: Head, start: Tensor, features: Tensor, settings: Settings) -> Tensor:
    """Climb the score from ``start`` (P, n, 3) with ``features`` (P, n, 60); where the points are in the end.

    At every step each point j of the start gives its score to the k points that are nearest to it by now, and
    x_i <- x_i + a_t * (sum of the scores that reach x_i), as in the published sampler.
    """
    patches, n, _ = start.shape
    k = min(settings.neighbors or ENSEMBLE, n)
    decay = settings.step_decay or STEP_DECAY
    size = settings.step_size or STEP_SIZE
    origin = start.reshape(-1, 1, 3)
    prepared = head.prepare(features.reshape(patches * n, -1))
    x = start.reshape(-1, 3).clone()
    for step in range(settings.steps or STEPS):
        rows = nearest(start, x.view_as(start), k)
        scores = head.scores(x[rows].view(-1, k, 3) - origin, prepared)
        x = x + size * decay**step * torch.zeros_like(x).index_add_(0, rows, scores.view(-1, 3))
    return x.view_as(start)


def nearest(queries: Tensor, points: Tensor, k: int) -> Tensor:
    """Rows (P * n * k,), counted through all patches, of the ``k`` points (P, n, 3) nearest to each query (P, n, 3)."""
    patches, n, _ = points.shape
    if points.is_cuda:
        exact = torch.cdist(queries, points, compute_mode="donot_use_mm_for_euclid_dist")
        rows = exact.topk(k, dim=-1, largest=False).indices
        return (rows + torch.arange(patches, device=rows.device).view(-1, 1, 1) * n).reshape(-1)
    # One tree for all patches, which stand so far apart that none sees another.
    apart = np.zeros((patches, 1, 3))
    reach = max(float(points.abs().max()), float(queries.abs().max()))
    apart[:, 0, 0] = np.arange(patches) * (8 * reach)
    spread = [(tensor.numpy().astype(np.float64) + apart).reshape(-1, 3) for tensor in (points, queries)]
    _, found = Neighbors(spread[0]).nearest(spread[1], k)
    return torch.from_numpy(found.reshape(-1).astype(np.int64))
