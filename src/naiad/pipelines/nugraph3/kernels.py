"""What NuGraph3's compiled function is made of, for Numba: passes over rows, and tiles of rows.

What is between two matrix products is one pass over rows that are still in the processor's cache,
with exponentials that the compiler vectorises. Whether it did is seen by the time taken alone:
about 20 cycles per 16 exponentials and what belongs to them with AVX-512, 200 where it did not.
"""
# Numba finds the types.
# pyright: basic

from __future__ import annotations

import numpy as np
from numba import njit

from naiad.pipelines.nugraph3.products import product

# Without "reassoc", which would cancel the rounding in _exp. Numba's own error model tests every
# divisor for 0, and a loop with a test in it is not vectorised: 8 times slower.
ELEMENTWISE = {"contract", "nsz"}
rows = njit(fastmath=ELEMENTWISE, error_model="numpy", nogil=True)
_sums = njit(fastmath=ELEMENTWISE | {"reassoc"}, error_model="numpy", nogil=True)

_f = np.float32
_ZERO, _ONE, _TWO = _f(0), _f(1), _f(2)
_LOG2_E = _f(1.4426950408889634)
# Added to a number below 2**22, leaves its nearest integer in the last bits.
_ROUND = _f(1.5 * 2**23)
_LN_2_HIGH, _LN_2_LOW = _f(0.693359375), _f(-2.12194440e-4)  # the first has few bits: n * it exact
# Minimax polynomial of exp on [-ln(2)/2, ln(2)/2], relative error 2e-9 (Lawson's algorithm).
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = (
    _f(c) for c in (1.0, 1.0, 0.49999991, 0.1666642, 0.041668233, 0.0083748987, 0.0013836742)
)
_LOWEST = _f(-87)  # below it exp is no normal float32
_MISH_IS_IDENTITY = _f(20)  # above it, in float32
_SIGMOID_IS_ZERO = _f(80)


@rows
def _exp(x):
    """exp(x) for x up to 88, to a rounding error; what is below -87 counts as -87."""
    x = max(x, _LOWEST)
    shifted = x * _LOG2_E + _ROUND
    n = shifted - _ROUND
    r = x - n * _LN_2_HIGH
    r = r - n * _LN_2_LOW
    p = _C6 * r + _C5
    p = p * r + _C4
    p = p * r + _C3
    p = p * r + _C2
    p = p * r + _C1
    p = p * r + _C0
    exponent = np.int32(_f(shifted).view(np.int32) << np.int32(23))
    return np.int32(_f(p).view(np.int32) + exponent).view(np.float32)


@rows
def sigmoid(x):
    """Sigmoid in place."""
    for i in range(len(x)):
        x[i] = _ONE / (_ONE + _exp(min(-x[i], _SIGMOID_IS_ZERO)))


@rows
def mish(x, bias):
    """``mish(x + bias)`` of a row in place, with one exponential: tanh(softplus) is y / (y + 2).

    In place, and not into another row that may be the same: the compiler's test for rows that
    overlap would then choose the loop that is not vectorised.
    """
    for c in range(len(bias)):
        v = x[c] + bias[c]
        e = _exp(min(v, _MISH_IS_IDENTITY))
        y = e * (e + _TWO)
        x[c] = v * (y / (y + _TWO))


@_sums
def dot(a, b):
    """Product of two vectors."""
    total = _ZERO
    for c in range(len(a)):
        total += a[c] * b[c]
    return total


@njit(fastmath={"nsz"})
def _times(a, b):
    """A product that is rounded: not contracted with the subtraction of the maximum, as which the
    largest message would differ from itself, by 1e20 where it is 1e27.
    """
    return a * b


@rows
def softmax_mean(x, source, gate, first, last, out, top, total):
    """Mean of the gated rows of a node's edges, weighted per channel by their softmax.

    Edges are taken two at a time, which halves the traffic of the running sums; ``top`` and
    ``total`` are scratch rows.
    """
    if first == last:
        out[:] = _ZERO
        return
    n = len(out)
    a, ga = x[source[first]], gate[first]
    if last == first + 1:
        for c in range(n):
            out[c] = ga * a[c]
        return
    b, gb = x[source[first + 1]], gate[first + 1]
    for c in range(n):
        top[c] = max(_times(ga, a[c]), _times(gb, b[c]))
    for e in range(first + 2, last - 1, 2):
        a, ga, b, gb = x[source[e]], gate[e], x[source[e + 1]], gate[e + 1]
        for c in range(n):
            top[c] = max(top[c], max(_times(ga, a[c]), _times(gb, b[c])))
    odd = (last - first) % 2 == 1
    a, ga = x[source[last - 1]], gate[last - 1]
    if odd:
        for c in range(n):
            m = _times(ga, a[c])
            t = max(top[c], m)
            w = _exp(m - t)
            top[c] = t
            out[c] = w * m
            total[c] = w
    else:
        for c in range(n):
            out[c] = _ZERO
            total[c] = _ZERO
    for e in range(first, last - 1, 2):
        a, ga, b, gb = x[source[e]], gate[e], x[source[e + 1]], gate[e + 1]
        for c in range(n):
            m, k = _times(ga, a[c]), _times(gb, b[c])
            t = top[c]
            w, v = _exp(m - t), _exp(k - t)
            out[c] += w * m + v * k
            total[c] += w + v
    for c in range(n):
        out[c] /= total[c]


@rows
def table(count, columns):
    """An uninitialised table that starts on a cache line."""
    memory = np.empty(count * columns + 16, np.float32)
    skip = (-memory.ctypes.data) % 64 // 4
    return memory[skip : skip + count * columns].reshape(count, columns)


@rows
def layers(x, hidden, out, first, first_bias, second, second_bias):
    """The two-layer network of a block on a tile of rows."""
    product(x, first, hidden)
    for r in range(len(x)):
        mish(hidden[r], first_bias)
    product(hidden, second, out)
    for r in range(len(x)):
        mish(out[r], second_bias)


@rows
def group(target, count):
    """Where the edges of each target begin when they are grouped by it: int64 ``[count + 1]``."""
    pointer = np.zeros(count + 1, np.int64)
    for e in range(len(target)):
        pointer[target[e] + 1] += 1
    for t in range(count):
        pointer[t + 1] += pointer[t]
    return pointer


@rows
def update_hits(start, stop, tile, hits, new, x, pointer, source, gate, own, other, weights):
    """New features of the hits of one plane from their incoming edges."""
    first, first_bias, second, second_bias = weights
    width, features = x.shape[1], hits.shape[1]
    most = min(tile, stop - start)
    joined, hidden = table(most, width + features), table(most, features)
    top, total = np.empty(width, np.float32), np.empty(width, np.float32)
    for begin in range(start, stop, tile):
        end = min(begin + tile, stop)
        for t in range(begin, end):
            for e in range(pointer[t], pointer[t + 1]):
                gate[e] = own[t] + other[source[e]]
        sigmoid(gate[pointer[begin] : pointer[end]])
        for t in range(begin, end):
            row = joined[t - begin]
            softmax_mean(x, source, gate, pointer[t], pointer[t + 1], row[:width], top, total)
            row[width:] = hits[t]
        count = end - begin
        layers(
            joined[:count],
            hidden[:count],
            new[begin:end],
            first,
            first_bias,
            second,
            second_bias,
        )
