"""NuGraph3's inference as one compiled function, for the CPU.

The arithmetic is that of :mod:`naiad.pipelines.nugraph3.inference` in another order. Softmax takes
the maximum away first, which costs next to nothing here, so no feature is too large for it.
"""
# Numba finds the types of the functions that it compiles.
# pyright: basic

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from naiad.kernel_cache import kernel_cache
from naiad.pipelines.nugraph3 import kernels, products
from naiad.pipelines.nugraph3.arrangement import arrange
from naiad.pipelines.nugraph3.kernels import (
    dot,
    group,
    layers,
    mish,
    rows,
    sigmoid,
    softmax_mean,
    table,
    update_hits,
)
from naiad.pipelines.nugraph3.model import NuGraph3Net
from naiad.pipelines.nugraph3.products import PANEL, product

TILE_ROWS = 252
"""Hits worked on at a time."""


class CompiledNuGraph3:
    """``NuGraph3Net`` for inference on the CPU, as one compiled function.

    The weights are copied: later changes to the network have no effect here.
    """

    def __init__(self, net: NuGraph3Net) -> None:
        """Arrange the weights of ``net``; compile the function, or load it as compiled before.

        Raises:
            ArtifactError: there is no place to keep what is compiled.
        """
        self.arch = net.arch
        self._weights = arrange(net)
        self._label = _compile(numba.typeof(self._weights))

    def __call__(self, batch: Mapping[str, Tensor], num_events: int) -> dict[str, Tensor]:
        """Label a block-diagonal batch of events, as :meth:`NuGraph3Net.forward` does.

        The batch must be as :class:`naiad.pipelines.nugraph3.inference.FusedNuGraph3` needs it,
        and its indices in range: they are not checked.
        """
        planes = self.arch.planes
        x = [batch[f"x_{p}"].numpy() for p in planes]
        plane_edges = [batch[f"plane_edge_{p}"].numpy() for p in planes]
        nexus_edges = [batch[f"nexus_edge_{p}"].numpy() for p in planes]
        sizes = [
            (len(h), e.shape[1], n.shape[1])
            for h, e, n in zip(x, plane_edges, nexus_edges, strict=True)
        ]
        semantic, signal, event, vertex = self._label(
            np.concatenate(x),
            np.concatenate(plane_edges, axis=1),
            np.concatenate(nexus_edges, axis=1),
            np.array(sizes, np.int64),
            np.ascontiguousarray(batch["sp_event"].numpy()),
            num_events,
            self.arch.num_iters,
            TILE_ROWS,
            self._weights,
        )
        rows = [size[0] for size in sizes]
        scores = torch.from_numpy(semantic).split(rows)
        signals = torch.from_numpy(signal).split(rows)
        return {
            "e_evt": torch.from_numpy(event),
            **{f"x_semantic_{p}": s for p, s in zip(planes, scores, strict=True)},
            **{f"x_filter_{p}": s for p, s in zip(planes, signals, strict=True)},
            "v_evt": torch.from_numpy(vertex),
        }


@cache
def _compile(weights: Any) -> Callable[..., Any]:
    """:func:`_label` for weights of this type, compiled now or before."""
    floats, ints, matrix = numba.float32[:, ::1], numba.int64[::1], numba.int64[:, ::1]
    number = numba.int64
    with kernel_cache(__file__, kernels.__file__, products.__file__):
        label = numba.njit(
            cache=True, fastmath=kernels.ELEMENTWISE, error_model="numpy", nogil=True
        )(_label)
    label.compile((floats, matrix, matrix, matrix, ints, number, number, number, weights))
    label.disable_compile()
    return label


@rows
def _connect(plane_edges, nexus_edges, sizes, hits, points):
    """Sources of the plane and nexus edges of each hit, and the hits of each spacepoint.

    Hits are rows of one table, in which the planes follow each other.
    """
    planes = len(sizes)
    source = np.empty(plane_edges.shape[1], np.int32)
    target = np.empty(plane_edges.shape[1], np.int64)
    hit_of = np.full((points, planes), -1, np.int32)
    nexus_hit = np.empty(nexus_edges.shape[1], np.int64)
    row = a = b = 0
    for p in range(planes):
        for _ in range(sizes[p, 1]):
            source[a] = plane_edges[0, a] + row
            target[a] = plane_edges[1, a] + row
            a += 1
        for _ in range(sizes[p, 2]):
            nexus_hit[b] = nexus_edges[0, b] + row
            hit_of[nexus_edges[1, b], p] = nexus_hit[b]
            b += 1
        row += sizes[p, 0]
    pointer = group(target, hits)
    nexus_pointer = group(nexus_hit, hits)
    nexus_source = np.empty(len(nexus_hit), np.int32)
    place = nexus_pointer.copy()
    for e in range(len(nexus_hit)):
        nexus_source[place[nexus_hit[e]]] = nexus_edges[1, e]
        place[nexus_hit[e]] += 1
    return source, pointer, nexus_source, nexus_pointer, hit_of


def _label(x, plane_edges, nexus_edges, sizes, sp_event, events, iterations, tile, w):
    """Label a batch of events; see :func:`label`."""
    hits, points, planes = len(x), len(sp_event), len(sizes)
    features, narrow = w.plane_first_bias.shape[1], w.spread_first_bias.shape[1]
    width = planes * narrow

    source, pointer, nexus_source, nexus_pointer, hit_of = _connect(
        plane_edges, nexus_edges, sizes, hits, points
    )
    event_pointer = group(sp_event, events)
    point = np.arange(points).astype(np.int32)
    gate = np.empty(max(len(source), len(nexus_source), points), np.float32)
    # Of each hit: its gates as target and source of step 1, source of step 2, target of step 5.
    own, other = np.empty(hits, np.float32), np.empty(hits, np.float32)
    to_nexus, from_nexus = np.empty(hits, np.float32), np.empty(hits, np.float32)
    column = np.empty(points, np.float32)
    old, new = table(hits, features), table(hits, features)
    message = table(hits, narrow)
    nexus = table(points, narrow)
    nexus_terms = np.zeros(
        (points, len(w.nexus) * PANEL), np.float32
    )  # of spacepoints that are all 0
    wide, wide_terms = table(points, width), table(points, len(w.wide) * PANEL)
    part, hidden = table(min(tile, points), narrow), table(min(tile, points), narrow)
    size = w.event_first_bias.shape[1]
    event = np.zeros((events, size), np.float32)
    event_input, event_hidden = table(events, width + size), table(events, size)
    event_message = table(events, narrow)
    top, total = np.empty(width, np.float32), np.empty(width, np.float32)

    row = 0
    for p in range(planes):
        for t in range(row, row + sizes[p, 0]):
            old[t] = w.encode_bias[p]
            for k in range(x.shape[1]):
                value = (x[t, k] - w.mean[p, k]) / w.std[p, k]
                for c in range(features):
                    old[t, c] += value * w.encode[p, k, c]
            own[t] = dot(old[t], w.plane_gate[p, 0]) + w.plane_gate_bias[p, 0]
            other[t] = dot(old[t], w.plane_gate[p, 1])
        row += sizes[p, 0]

    for _ in range(iterations):
        # 1. Hits from their neighbours on the plane, and what they have for their spacepoints.
        row = 0
        for p in range(planes):
            end = row + sizes[p, 0]
            network = (
                w.plane_first[p],
                w.plane_first_bias[p],
                w.plane_second[p],
                w.plane_second_bias[p],
            )
            update_hits(row, end, tile, old, new, old, pointer, source, gate, own, other, network)
            product(new[row:end], w.message[p], message[row:end])
            for t in range(row, end):
                to_nexus[t] = dot(new[t], w.hit_gate[p, 0]) + w.hit_gate_bias[p, 0]
                from_nexus[t] = dot(new[t], w.hit_gate[p, 1]) + w.hit_gate_bias[p, 1]
            row = end
        # 2. Spacepoints from their hits, one per plane.
        for begin in range(0, points, tile):
            stop = min(begin + tile, points)
            count = stop - begin
            for p in range(planes):
                for s in range(begin, stop):
                    hit = hit_of[s, p]
                    out = part[s - begin]
                    out[:] = nexus_terms[s, p * narrow : (p + 1) * narrow]
                    if hit >= 0:
                        gate[0] = to_nexus[hit] + nexus_terms[s, width + p]
                        sigmoid(gate[:1])
                        for c in range(narrow):
                            out[c] += gate[0] * message[hit, c]
                    mish(out, w.inward_first_bias[p])
                product(part[:count], w.inward_second[p], hidden[:count])
                for s in range(begin, stop):
                    out = wide[s, p * narrow : (p + 1) * narrow]
                    out[:] = hidden[s - begin]
                    mish(out, w.inward_second_bias[p])
            product(wide[begin:stop], w.wide, wide_terms[begin:stop])
        # 3. The event from its spacepoints.
        for i in range(events):
            first, last = event_pointer[i], event_pointer[i + 1]
            score = dot(event[i], w.event_gate[0]) + w.event_gate_bias[0, 0]
            for s in range(first, last):
                gate[s] = score + wide_terms[s, narrow]
            sigmoid(gate[first:last])
            softmax_mean(wide, point, gate, first, last, event_input[i, :width], top, total)
            event_input[i, width:] = event[i]
        layers(
            event_input,
            event_hidden,
            event,
            w.event_first,
            w.event_first_bias[0],
            w.event_second,
            w.event_second_bias[0],
        )
        # 4. Spacepoints from their event.
        product(event, w.from_event, event_message)
        for i in range(events):
            score = dot(event[i], w.event_gate[1]) + w.event_gate_bias[0, 1]
            for s in range(event_pointer[i], event_pointer[i + 1]):
                gate[s] = score + wide_terms[s, narrow + 1]
        sigmoid(gate[:points])
        for begin in range(0, points, tile):
            stop = min(begin + tile, points)
            count = stop - begin
            for s in range(begin, stop):
                out, of_event = part[s - begin], event_message[sp_event[s]]
                for c in range(narrow):
                    out[c] = wide_terms[s, c] + gate[s] * of_event[c]
                mish(out, w.spread_first_bias[0])
            product(part[:count], w.spread_second, nexus[begin:stop])
            for s in range(begin, stop):
                mish(nexus[s], w.spread_second_bias[0])
            product(nexus[begin:stop], w.nexus, nexus_terms[begin:stop])
        # 5. Hits from their spacepoints, and their gates for the next step 1.
        row = 0
        for p in range(planes):
            end = row + sizes[p, 0]
            column[:] = nexus_terms[:, width + planes + p]
            network = (
                w.outward_first[p],
                w.outward_first_bias[p],
                w.outward_second[p],
                w.outward_second_bias[p],
            )
            update_hits(
                *(row, end, tile, new, old, nexus, nexus_pointer, nexus_source),
                *(gate, from_nexus, column, network),
            )
            for t in range(row, end):
                own[t] = dot(old[t], w.plane_gate[p, 0]) + w.plane_gate_bias[p, 0]
                other[t] = dot(old[t], w.plane_gate[p, 1])
            row = end

    return _decode(old, event, sizes, w)


@rows
def _decode(hits, event, sizes, w):
    """Scores and signal probability of each hit, scores and vertex of each event."""
    classes = w.hit_head_bias.shape[1] - 1
    semantic, signal = np.empty((len(hits), classes), np.float32), np.empty(len(hits), np.float32)
    heads = np.empty((len(hits), classes + 1), np.float32)
    row = 0
    for p in range(len(sizes)):
        end = row + sizes[p, 0]
        product(hits[row:end], w.hit_head[p], heads[row:end])
        for t in range(row, end):
            for c in range(classes):
                semantic[t, c] = heads[t, c] + w.hit_head_bias[p, c]
            signal[t] = heads[t, classes] + w.hit_head_bias[p, classes]
        row = end
    sigmoid(signal)
    answer = np.empty((len(event), w.event_head_bias.shape[1]), np.float32)
    product(event, w.event_head, answer)
    answer += w.event_head_bias
    kinds = answer.shape[1] - 3
    return semantic, signal, answer[:, :kinds].copy(), answer[:, kinds:].copy()
