"""Products of a few rows with a matrix of weights, at the processor's peak, for Numba.

BLAS copies both matrices into its own order on each call: a fifth of its time at these sizes. Here
weights are put in order once, and rows are read where they are. Measured at 61 to 512 rows of 128
to 256 features, one Zen 4 core: 106 to 117 GFLOP/s, OpenBLAS 79 to 105, MKL 75 to 90.

Each number is a sum in the order of the features, whatever rows there are beside it: what an event
is batched with does not change its answer.
"""
# Numba finds the types.
# pyright: basic, reportCallIssue=false

from __future__ import annotations

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

_VECTORS = 2
# Numbers in a vector, and rows of the blocks that are worked on: what fits into the registers.
if binding.get_host_cpu_features().get("avx512f"):
    _LANES, _HEIGHTS = 16, (12, 6, 3, 1)  # of 32 registers, 24 hold sums
else:
    _LANES, _HEIGHTS = 8, (6, 3, 2, 1)  # of 16, 12 do

PANEL = _VECTORS * _LANES
"""Columns of a matrix that lie together."""


def pack(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Order ``[..., in, out]`` as ``[..., panels, in, PANEL]``, filled up with columns of 0."""
    *outer, rows, columns = matrix.shape
    padding = [(0, 0)] * (len(outer) + 1) + [(0, -columns % PANEL)]
    panels = np.pad(matrix, padding).reshape(*outer, rows, -1, PANEL)
    return np.ascontiguousarray(np.swapaxes(panels, -3, -2))


def _block(height: int):
    """A function for Numba: ``height`` rows times one panel, all sums in registers.

    Arguments are addresses, strides in numbers, and the length of a row. It is written in the
    compiler's language because its loops must become these instructions and no others.
    """

    @intrinsic
    def block(typing, rows, row_stride, length, panel, out, out_stride):
        signature = types.void(
            types.uintp, types.intp, types.intp, types.uintp, types.uintp, types.intp
        )

        def generate(context, builder: ir.IRBuilder, signature, arguments):
            rows, row_stride, length, panel, out, out_stride = arguments
            number, index = ir.FloatType(), ir.IntType(64)
            vector = ir.VectorType(number, _LANES)
            undefined = ir.Constant(vector, ir.Undefined)
            every = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
            own = range(height)

            def at(address, offset):
                return builder.gep(address, [offset])

            def vector_at(address, offset):
                return builder.bitcast(at(address, offset), vector.as_pointer())

            rows, panel, out = (
                builder.inttoptr(address, number.as_pointer()) for address in (rows, panel, out)
            )
            row = [at(rows, builder.mul(row_stride, index(r))) for r in own]
            before = builder.block
            loop, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
            builder.branch(loop)
            builder.position_at_end(loop)
            k = builder.phi(index)
            k.add_incoming(index(0), before)
            sums = [[builder.phi(vector) for _ in range(_VECTORS)] for _ in own]
            weights = []
            for v in range(_VECTORS):
                offset = builder.add(builder.mul(k, index(PANEL)), index(v * _LANES))
                weights.append(builder.load(vector_at(panel, offset), align=4))
            for r in own:
                value = builder.load(at(row[r], k))
                value = builder.insert_element(undefined, value, ir.IntType(32)(0))
                value = builder.shuffle_vector(value, undefined, every)
                for v in range(_VECTORS):
                    product = builder.fmul(value, weights[v], flags=["contract"])
                    total = builder.fadd(product, sums[r][v], flags=["contract"])
                    sums[r][v].add_incoming(ir.Constant(vector, None), before)
                    sums[r][v].add_incoming(total, loop)
                    sums[r][v] = total
            following = builder.add(k, index(1))
            k.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", following, length), loop, after)
            builder.position_at_end(after)
            for r in own:
                line = at(out, builder.mul(out_stride, index(r)))
                for v in range(_VECTORS):
                    builder.store(sums[r][v], vector_at(line, index(v * _LANES)), align=4)
            return context.get_dummy_value()

        return signature, generate

    return block


_H0, _H1, _H2, _ = _HEIGHTS
_block_0, _block_1, _block_2, _block_3 = (_block(height) for height in _HEIGHTS)


@njit(nogil=True)
def _fill(x, stride, count, length, weights, panels, out, out_stride):
    """The product where ``out`` has whole panels, from addresses and strides in bytes.

    It knows no arrays, so that it is compiled once for all their layouts.
    """
    step, out_step = stride // 4, out_stride // 4
    row = 0
    while row < count:
        left = count - row
        rows = x + np.uintp(row * stride)
        height = _H0 if left >= _H0 else _H1 if left >= _H1 else _H2 if left >= _H2 else 1
        for n in range(panels):
            panel = weights + np.uintp(4 * n * length * PANEL)
            to = out + np.uintp(row * out_stride + 4 * n * PANEL)
            if height == _H0:
                _block_0(rows, step, length, panel, to, out_step)
            elif height == _H1:
                _block_1(rows, step, length, panel, to, out_step)
            elif height == _H2:
                _block_2(rows, step, length, panel, to, out_step)
            else:
                _block_3(rows, step, length, panel, to, out_step)
        row += height


@njit(nogil=True)
def _address(array):
    return np.uintp(array.ctypes.data)


@njit(nogil=True)
def product(x, packed, out):
    """``out = x @ matrix`` of a matrix that :func:`pack` has put in order.

    ``x`` float32 ``[rows, in]``, ``out`` ``[rows, out]``, all C-contiguous and not the same.
    """
    count, length = x.shape
    panels, columns = len(packed), out.shape[1]
    whole = out if columns == panels * PANEL else np.empty((count, panels * PANEL), np.float32)
    _fill(
        _address(x),
        x.strides[0],
        count,
        length,
        _address(packed),
        panels,
        _address(whole),
        whole.strides[0],
    )
    if columns != panels * PANEL:
        out[:] = whole[:, :columns]
