"""Eight float32, or four float64, as one number in kernels: what a processor multiplies and adds in one step.

LLVM finds such steps in plain loops too, but not where the loops are as short as ours.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model

#: Products and sums may be fused, and sums be taken in another order.
HOW = ("contract", "reassoc", "nsz", "arcp")


class _Lanes(types.Type):
    """``count`` numbers of a type side by side."""

    def __init__(self, of: Any, code: Any, count: int) -> None:
        self.of, self.vector, self.count = of, ir.VectorType(code, count), count
        super().__init__(name=f"{count} {of}")


EIGHT, FOUR = _Lanes(types.float32, ir.FloatType(), 8), _Lanes(types.float64, ir.DoubleType(), 4)


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.vector)


def _place(context: Any, builder: Any, kind: _Lanes, array_type: Any, array: Any, at: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), kind.vector.as_pointer())


def _lanes_of(number: Any) -> Any:
    return EIGHT if number == types.float32 else FOUR if number == types.float64 else None


@intrinsic
def load(_: Any, array: Any, at: Any) -> Any:
    """As many numbers of a contiguous array as are one step, from its element ``at`` on, counted through all axes."""
    kind = _lanes_of(array.dtype)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = builder.load(_place(context, builder, kind, signature.args[0], args[0], args[1]))
        found.align = kind.of.bitwidth // 8
        return found

    return kind(array, types.intp), build


@intrinsic
def store(_: Any, array: Any, at: Any, value: Any) -> Any:
    """Put ``value`` there."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, value, signature.args[0], args[0], args[1])
        builder.store(args[2], place).align = value.of.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, types.intp, value), build


@intrinsic
def every(_: Any, number: Any) -> Any:
    """One number in all lanes."""
    kind = _lanes_of(number)

    def build(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        index = ir.IntType(32)
        none = ir.Constant(kind.vector, ir.Undefined)
        first = builder.insert_element(none, args[0], ir.Constant(index, 0))
        return builder.shuffle_vector(first, none, ir.Constant(ir.VectorType(index, kind.count), [0] * kind.count))

    return kind(number), build


def _of_two(name: str, operation: Any) -> None:
    """Two of them by ``operation`` of Python, which is LLVM's ``name``."""

    @intrinsic
    def done(_: Any, a: Any, b: Any) -> Any:
        def build(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args, flags=HOW)

        return a(a, a), build

    @overload(operation, inline="always")
    def implemented(a: Any, b: Any) -> Any:
        def both(a: Any, b: Any) -> Any:
            return done(a, b)

        return both if isinstance(a, _Lanes) and a == b else None


for _name, _operation in (
    ("fadd", operator.add),
    ("fadd", operator.iadd),
    ("fsub", operator.sub),
    ("fmul", operator.mul),
):
    _of_two(_name, _operation)


#: Numbers of which `ranks` finds the ranks at once: there must be room for a multiple of that.
RANKED = 16


@intrinsic
def ranks(_: Any, found: Any, count: Any, rank: Any) -> Any:
    """Put into ``rank`` (n,) int64 how many of the first ``count`` of ``found`` (n,) float64 are less than each."""
    kind, whole = ir.VectorType(ir.DoubleType(), RANKED), ir.VectorType(ir.IntType(64), RANKED)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count, index = args[1], args[1].type
        numbers, into = (context.make_array(signature.args[n])(context, builder, args[n]).data for n in (0, 2))
        zero, none = ir.Constant(index, 0), ir.Constant(kind, ir.Undefined)
        with cgutils.for_range_slice(builder, zero, count, ir.Constant(index, RANKED)) as (at, _step):
            mine = builder.load(builder.bitcast(builder.gep(numbers, [at]), kind.as_pointer()))
            mine.align = 8
            before, body, behind = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(body)
            builder.position_at_end(body)
            n, less = builder.phi(index), builder.phi(whole)
            n.add_incoming(zero, before)
            less.add_incoming(ir.Constant(whole, [0] * RANKED), before)
            one = builder.insert_element(none, builder.load(builder.gep(numbers, [n])), ir.Constant(ir.IntType(32), 0))
            many = builder.shuffle_vector(one, none, ir.Constant(ir.VectorType(ir.IntType(32), RANKED), [0] * RANKED))
            more = builder.add(less, builder.zext(builder.fcmp_ordered("<", many, mine), whole))
            after = builder.add(n, ir.Constant(index, 1))
            n.add_incoming(after, body)
            less.add_incoming(more, body)
            builder.cbranch(builder.icmp_signed("<", after, count), body, behind)
            builder.position_at_end(behind)
            builder.store(more, builder.bitcast(builder.gep(into, [at]), whole.as_pointer())).align = 8
        return context.get_dummy_value()

    return types.void(found, types.intp, rank), build
