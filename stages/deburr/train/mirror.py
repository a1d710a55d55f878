"""Noisy points and their mirror images, of which no clean place is known.

On a surface, noise is as likely on one side as on the other. So a cloud whose points are mirrored at the surface is
another sample of it, as good and as likely, and a denoiser has to lead a point and its image to one place ("SIMPC:
Learning Self-Induced Mirror-Point Consistency for Unsupervised Point Cloud Denoising", ICML 2026, has the idea; what is
made of it here is our own). The surface is where the network itself leads the points. If it takes the share a of a
height h away, the image lies at h - 2 a h, and is led to (1 - a) (1 - 2 a) h rather than (1 - a) h, which is
2 a (1 - a) h off: nothing for a = 1, but nothing for a = 0 either. And to make all flat is consistent, too. What
forbids both is the noise level sigma, that is known or read: on average over a neighbourhood, the square of what is
taken away is sigma^2. Along the surface nobody tells anything; there points are to stay.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from deburr.core.arrays import Floats
from deburr.nn.deburr.inputs import Scene
from deburr.nn.deburr.planes import Graph

#: The scale of the planes that tell which way is across: those of about 20 points. Wider ones miss edges.
_SCALE = 1
#: Points on a plane no thicker than so many times the noise are on a surface; of others nothing is learnt.
_THICK = 3.0
#: Hops over which what is taken away is averaged: about 20 points.
_HOPS = 2


def surface(scene: Scene, level: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors across the surface (N, 3) float32, whose sign means nothing, and where there is one, (N,) bool;
    ``level`` (N,): the noise."""
    thick = scene.planes.variances[:, _SCALE, 0].clamp_min(0).sqrt()
    return scene.planes.normals[:, _SCALE], thick <= _THICK * level


def mirrored(points: Floats, way: Tensor, normals: Tensor, on: Tensor) -> Floats:
    """The ``points`` (N, 3) float64, those ``on`` a surface (N,) at its other side: twice as far across it as their
    ``way`` (N, 3) leads."""
    across = (way * normals).sum(1, keepdim=True) * normals * on[:, None]
    return np.asarray(points + 2 * across.detach().cpu().double().numpy())


def loss(way: Tensor, back: Tensor, normals: Tensor, on: Tensor, level: Tensor, graph: Graph) -> Tensor:
    """How far apart points and their images are led, across the surface; how much more or less than the noise is taken
    away; and how far points are led along it: squares, in units of the noise, averaged over the points ``on`` surfaces.

    way, back : (N, 3) the ways of the points, and of their images as `mirrored` has them.
    normals, on : as `surface` has them; level : (N,) the noise.
    """
    if not bool(on.any()):
        return 0.0 * (way.sum() + back.sum())
    across, returned = (way * normals).sum(1) / level, (back * normals).sum(1) / level
    # Where the image is lies fixed: else the way to it would learn, and staying is a way to agree.
    apart = across - 2 * across.detach() - returned
    along = (way - (way * normals).sum(1, keepdim=True) * normals) / level[:, None]
    size = _averaged(across**2, on, graph) - 1
    return (apart**2 + size**2 + (along**2).sum(1))[on].mean()


def _averaged(values: Tensor, on: Tensor, graph: Graph) -> Tensor:
    """(N,) the mean of ``values`` (N,) of the points ``on`` surfaces around each."""
    counted, every = on.to(values.dtype), slice(0, len(values))
    both = torch.stack((values * counted, counted), 1)
    for _ in range(_HOPS):
        near = (graph.window[..., None] * graph.gather(both, every)).sum(1)
        both = (both + near) / (1 + graph.window.sum(1, keepdim=True))
    return torch.where(on, both[:, 0] / both[:, 1].clamp_min(1e-6), 1.0)
