"""The score network as training computes it fast: the same figures and gradients, by few passes over memory.

torch writes every small step between two products to memory and reads it again, and adds up gradients of gathered rows
slowly. Here a layer is its four products and a few loops of C (`fused.c`), and so are the edge kernels; the gradients
are derived by hand. The plain network in `deburr.nn` defines what is right.
"""

from __future__ import annotations

import ctypes
import logging
import shutil
import subprocess
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deburr.core.errors import RunError
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.inputs import COARSE, FINE, Scene
from deburr.nn.deburr.layer import Layer, Sizes
from deburr.nn.deburr.network import ScoreNetwork

log = logging.getLogger(__name__)

#: Neighbours of every point; smaller clouds are no training scenes.
NEAR = 16


@cache
def library(sizes: Sizes) -> ctypes.CDLL:
    """`fused.c`, compiled for networks of ``sizes`` and this processor. Raises `RunError` where that fails."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RunError("kernels 'compiled': no C compiler (cc) is found; install one, or use kernels 'torch'")
    given = {"CHANNELS": sizes.channels, "HEADS": sizes.heads, "VALUES": sizes.values, "VECTORS": sizes.vectors}
    with tempfile.TemporaryDirectory() as folder:
        source, built, name = (Path(folder) / part for part in ("fused.c", "fused.o", "fused.so"))
        source.write_bytes(files("deburr.train").joinpath("fused.c").read_bytes())
        macros = [f"-D{key}={value}" for key, value in given.items()] + [f"-DNEAR={NEAR}"]
        # Linked by itself: with -ffast-math there, the library would change how all of Python rounds small numbers.
        for step in (
            ["-O3", "-march=native", "-ffast-math", "-fPIC", *macros, "-c", str(source), "-o", str(built)],
            ["-shared", str(built), "-o", str(name), "-lm"],
        ):
            done = subprocess.run([compiler, *step], capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["no message"])[0]
                raise RunError(f"kernels 'compiled': {compiler} fails ({said}); use kernels 'torch'")
        log.info("compiled the network's loops with %s", compiler)
        return ctypes.CDLL(str(name))


def _call(function: Any, count: int, *arrays: Tensor) -> None:
    assert all(array.is_contiguous() for array in arrays)
    function(ctypes.c_long(count), *(ctypes.c_void_p(array.data_ptr()) for array in arrays))


class _Edges(torch.autograd.Function):
    """Heads (H, N, K), trust (N, K) and reach (N, 3, H); see `ScoreNetwork._kernels`."""

    @staticmethod
    def forward(context: Any, code: ctypes.CDLL, seen: tuple[Tensor, ...], *weights: Tensor) -> tuple[Tensor, ...]:
        count, heads = len(seen[0]), len(weights[3]) - 1
        out = [torch.empty(heads, count, NEAR), torch.empty(count, NEAR), torch.empty(count, 3, heads)]
        _call(code.edges_forward, count, *seen, *weights, *out)
        context.code, context.seen = code, seen
        context.save_for_backward(*weights)
        return tuple(out)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Any, ...]:
        weights = context.saved_tensors
        found = [torch.empty_like(weight) for weight in weights]
        of = [gradient.contiguous() for gradient in gradients]
        _call(context.code.edges_backward, len(context.seen[0]), *context.seen, *weights, *of, *found)
        return None, None, *found


class _Round(torch.autograd.Function):
    """One `Layer` for all points, with what is told between neighbours: new features and vectors."""

    @staticmethod
    def forward(context: Any, code: ctypes.CDLL, seen: tuple[Tensor, Tensor], *given: Tensor) -> tuple[Tensor, Tensor]:
        """seen: neighbours (N, K) int32 and feet (N, 2, 3); given: features, arrows, heads, reach, and
        the weights of value, mix, look, update (with biases, but mix) and carry."""
        features, arrows, heads, reach, value, value_bias, mix, look, look_bias, update, update_bias, carry = given
        count = len(features)
        values = torch.addmm(value_bias, features, value.t())
        looked, mixing = features.new_empty(count, look.shape[1]), features.new_empty(count, 3, mix.shape[1])
        _call(code.sums_forward, count, seen[0], heads, values, arrows, reach, looked, mixing)
        mixed = mixing @ mix.t()
        _call(code.look_forward, count, features, mixed, seen[1], looked)
        hidden = torch.addmm(look_bias, looked, look.t())
        active = torch.nn.functional.silu(hidden)
        change, carried = torch.addmm(update_bias, active, update.t()), mixed @ carry.t()
        gates, *out = features.new_empty(count, len(carry)), torch.empty_like(features), torch.empty_like(arrows)
        _call(code.step_forward, count, features, arrows, change, carried, gates, *out)
        context.code, context.seen = code, seen
        kept = (arrows, heads, values, looked, mixing, mixed, hidden, active, carried, gates)
        context.save_for_backward(*kept, value, mix, look, update, carry)
        return out[0], out[1]

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Any, ...]:
        arrows, heads, values, looked, mixing, mixed, hidden, active, carried, gates, *weights = context.saved_tensors
        value, mix, look, update, carry = weights
        code, (neighbors, feet) = context.code, context.seen
        of_features, of_arrows = (gradient.contiguous() for gradient in gradients)
        count, channels = of_features.shape
        of_change, of_carried = of_features.new_empty(count, len(update)), torch.empty_like(carried)
        _call(code.step_backward, count, carried, gates, of_features, of_arrows, of_change, of_carried)
        of_hidden = torch.ops.aten.silu_backward(of_change @ update, hidden)
        of_looked, of_mixed = of_hidden @ look, of_carried @ carry
        _call(code.look_backward, count, mixed, feet, looked, of_looked, of_mixed)
        of_mixing = of_mixed @ mix
        to_heads, to_values, to_arrows = torch.empty_like(heads), torch.zeros_like(values), of_arrows.clone()
        to_reach = mixing.new_zeros(count, 3, len(heads))
        found = (to_heads, to_values, to_arrows, to_reach)
        _call(code.sums_backward, count, neighbors, heads, values, arrows, of_looked, of_mixing, *found)
        to_features = torch.addmm(of_features + of_looked[:, :channels], to_values, value)
        return (
            *(None, None, to_features, to_arrows, to_heads, to_reach),
            *(to_values.t() @ looked[:, :channels], to_values.sum(0)),
            of_mixed.flatten(0, 1).t() @ mixing.flatten(0, 1),
            *(of_hidden.t() @ looked, of_hidden.sum(0)),
            *(of_change.t() @ active, of_change.sum(0)),
            of_carried.flatten(0, 1).t() @ mixed.flatten(0, 1),
        )


class FusedNetwork(ScoreNetwork):
    """`ScoreNetwork` with the same weights, for training on one processor."""

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__(sizes)
        self._code = library(self.sizes)

    def _walk(self, scene: Scene, blocks: Blocks) -> tuple[Tensor, Tensor, Tensor]:
        graph, rows = scene.graph, slice(0, len(scene.noise))
        assert graph.neighbors.shape[1] == NEAR, "a training scene has more points than a point has neighbours"
        table, features, arrows, _ = self._enter(scene, rows)
        seen = (graph.neighbors, graph.points, table, graph.window, scene.noise)
        heads, trust, reach = _Edges.apply(  # type: ignore[no-untyped-call]
            self._code, seen, self.edges.weight, self.edges.bias, self.kernel.weight, self.kernel.bias
        )
        feet = scene.planes.normals[:, (FINE, COARSE)].contiguous()
        for layer in self.layers:
            assert isinstance(layer, Layer)
            reads = (layer.value.weight, layer.value.bias, layer.mix.weight, layer.look.weight, layer.look.bias)
            makes = (layer.update.weight, layer.update.bias, layer.carry.weight)
            features, arrows = _Round.apply(  # type: ignore[no-untyped-call]
                self._code, (graph.neighbors, feet), features, arrows, heads, reach, *reads, *makes
            )
        local, own = self._local(scene, features, arrows, rows)
        return local, own, trust
