"""Products of matrices and sums over neighbours: the innermost loops of the kernels, as LLVM is told them.

A few rows of the result at a time stay in the processor's registers until all is added. Between small matrices that
lie in the cache this is more than twice as fast as a library, which is made for large ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from deburr.nn.deburr.kernels.arithmetic import kernel
from deburr.nn.deburr.kernels.lanes import HOW

_WIDE = "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2]
#: Float32 that the processor multiplies and adds in one step; rows of a product that are computed at once, in steps of
#: three: as many as it has registers for.
LANES, ROWS = (16, 8) if _WIDE else (8, 4)
_VECTORS = 3
#: Rows of the values that are summed over neighbours are as long as so many vectors, or a multiple; and heads that are
#: summed at once, if there are as many: that again is what there are registers for.
_SUMMED, _HEADS = (3, 6) if _WIDE else (5, 2)
WIDTH = _SUMMED * LANES
#: Bytes of a line of the cache.
_LINE = 64


def tile(rows: int, vectors: int, picked: bool) -> Any:
    """Of a product the first ``rows`` and so many columns as ``vectors`` have, in kernels:

        out[r, c] = start[c] + sum over n < count of a[r, n] w[n, c],

    or ``picked``: w[which[n], c]. All arrays are contiguous and given with the element where they begin, counted
    through all axes, and with how long their rows are. float32, and ``which`` int32.
    """
    kind, element = ir.VectorType(ir.FloatType(), LANES), ir.IntType(32)

    def product(
        _: Any, count: Any, a: Any, a_at: Any, a_step: Any, which: Any, which_at: Any, w: Any, w_at: Any, w_step: Any,
        start: Any, start_at: Any, out: Any, out_at: Any, out_step: Any,
    ) -> Any:  # fmt: skip
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            count, _a, a_at, a_step, _which, which_at, _w, w_at, w_step, _start, start_at, _out, out_at, out_step = args
            index = count.type

            def data(place: int, at: Any) -> Any:
                array = context.make_array(signature.args[place])(context, builder, args[place]).data
                return builder.gep(array, [at])

            def vector(array: Any, at: Any) -> Any:
                return builder.bitcast(builder.gep(array, [at]), kind.as_pointer())

            def read(place: Any) -> Any:
                found = builder.load(place)
                found.align = 4
                return found

            def number(n: int) -> Any:
                return ir.Constant(index, n)

            firsts = [data(1, builder.add(a_at, builder.mul(number(r), a_step))) for r in range(rows)]
            weights, begun, into = data(6, w_at), data(9, start_at), data(11, out_at)
            begin = [read(vector(begun, number(v * LANES))) for v in range(vectors)]
            before, body, behind = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(body)
            builder.position_at_end(body)
            n = builder.phi(index)
            n.add_incoming(number(0), before)
            sums = [[builder.phi(kind) for _ in range(vectors)] for _ in range(rows)]
            row = builder.sext(read(builder.gep(data(4, which_at), [n])), index) if picked else n
            at = builder.mul(row, w_step)
            columns = [read(vector(weights, builder.add(at, number(v * LANES)))) for v in range(vectors)]
            none = ir.Constant(kind, ir.Undefined)
            for first, own in zip(firsts, sums, strict=True):
                one = builder.insert_element(none, read(builder.gep(first, [n])), ir.Constant(element, 0))
                many = builder.shuffle_vector(one, none, ir.Constant(ir.VectorType(element, LANES), [0] * LANES))
                for v, total in enumerate(own):
                    part = builder.fmul(many, columns[v], flags=HOW)
                    total.add_incoming(begin[v], before)
                    total.add_incoming(builder.fadd(total, part, flags=HOW), body)
            after = builder.add(n, number(1))
            n.add_incoming(after, body)
            builder.cbranch(builder.icmp_signed("<", after, count), body, behind)
            builder.position_at_end(behind)
            for r, own in enumerate(sums):
                for v, total in enumerate(own):
                    place = builder.add(builder.mul(number(r), out_step), number(v * LANES))
                    builder.store(total.incomings[1][0], vector(into, place)).align = 4
            return context.get_dummy_value()

        n = types.intp
        return types.void(n, a, n, n, which, n, w, n, n, start, n, out, n, n), build

    return intrinsic(product)


_three, _one = tile(ROWS, _VECTORS, False), tile(ROWS, 1, False)
_several, _two = tile(_HEADS, _SUMMED, True), tile(2, _SUMMED, True)
_PANEL = _VECTORS * LANES


@kernel
def product(rows: int, a: Any, weights: Any, bias: Any, out: Any) -> None:
    """The first ``rows`` of ``out`` (n, C): ``bias`` (C,) and ``a`` (n, >= I) times ``weights`` (I, C), as `packed`.

    A few more rows may be computed, up to a multiple of `ROWS`: there must be room for them.
    """
    count, width = weights.shape
    none, step = np.empty(0, np.int32), a.shape[1]
    for r in range(0, rows, ROWS):
        c = 0
        while c + _PANEL <= width:
            _three(
                count, a, r * step, step, none, 0, weights, c, width, bias, c, out, r * out.shape[1] + c, out.shape[1]
            )
            c += _PANEL
        while c < width:
            _one(count, a, r * step, step, none, 0, weights, c, width, bias, c, out, r * out.shape[1] + c, out.shape[1])
            c += LANES


def room(*shape: int, dtype: Any = np.float32) -> Any:
    """An array of zeros that begins where a line of the cache does, so that rows as long as a few of these are read in
    as few steps."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    whole = np.zeros(size + _LINE, np.uint8)
    first = -whole.ctypes.data % _LINE
    return whole[first : first + size].view(dtype).reshape(shape)


def packed(weight: Any, bias: Any = None) -> tuple[Any, Any]:
    """What `product` takes of a layer's ``weight`` (O, I) and its ``bias`` (O,) or none: turned, and filled up with
    outputs that are 0."""
    width = -(-len(weight) // LANES) * LANES
    turned, added = room(weight.shape[1], width), room(width)
    turned[:, : len(weight)] = weight.T
    if bias is not None:
        added[: len(weight)] = bias
    return turned, added


@kernel
def sums(start: int, stop: int, neighbors: Any, heads: Any, told: Any, out: Any) -> None:
    """``out`` (n, H, C): of what neighbours are ``told`` (N, C), the sums weighted by each of the ``heads`` (N, H, K).

    H is even and C a multiple of `WIDTH`. The last neighbour weighs nothing (`planes.Graph.window`), and is left out.
    """
    count, k, width = heads.shape[1], heads.shape[2], told.shape[1]
    nothing = np.zeros(WIDTH, np.float32)
    for i in range(start, stop):
        for t in range(0, width, WIDTH):
            h = 0
            while h < count:
                at, into = (i * count + h) * k, ((i - start) * count + h) * width + t
                if h + _HEADS <= count:
                    _several(k - 1, heads, at, k, neighbors, i * k, told, t, width, nothing, 0, out, into, width)
                    h += _HEADS
                else:
                    _two(k - 1, heads, at, k, neighbors, i * k, told, t, width, nothing, 0, out, into, width)
                    h += 2
