"""Particles are found as DBSCAN's definition has it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naiad.applications.nugraph.condensation.instances import (
    DIFFUSE,
    EPS,
    MIN_SAMPLES,
    dbscan,
    particles,
)


def by_definition(points):
    """Grow one cluster after another, point by point."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = [np.flatnonzero(row <= EPS) for row in distances]
    core = [len(found) >= MIN_SAMPLES for found in near]
    labels = np.full(len(points), -1)
    number = 0
    for start in range(len(points)):
        if labels[start] != -1 or not core[start]:
            continue
        stack = [start]
        while stack:
            point = stack.pop()
            if labels[point] == -1:
                labels[point] = number
                stack += near[point].tolist() if core[point] else []
        number += 1
    return labels


@st.composite
def clouds(draw):
    """Draw clouds of points that are dense, thin, touching or scattered."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dims, number = draw(st.integers(1, 9)), draw(st.integers(0, 160))
    centres = rng.normal(
        0, draw(st.sampled_from([0.05, 0.3, 1.0])), (draw(st.integers(1, 5)), dims)
    )
    spread = draw(st.sampled_from([0.0, 0.05, 0.15, 0.3])) / np.sqrt(dims)
    points = (
        centres[rng.integers(0, len(centres), number)] + rng.normal(0, 1, (number, dims)) * spread
    )
    return points.astype(np.float32)


@settings(max_examples=150, deadline=None)
@given(clouds())
def test_clusters_are_those_of_the_definition(points):
    assert dbscan(points).tolist() == by_definition(points.astype(float)).tolist()


def test_a_core_point_has_fifteen_points_near_itself_included():
    points = np.zeros((MIN_SAMPLES, 8), np.float32)
    assert dbscan(points).tolist() == [0] * MIN_SAMPLES
    assert dbscan(points[1:]).tolist() == [-1] * (MIN_SAMPLES - 1)


def test_a_border_point_goes_to_the_first_cluster_that_reaches_it():
    # Near the middle point are five points of either cluster: it is no core point.
    left = np.repeat(np.array([[-0.2], [0.0]], np.float32), (10, 5), axis=0)
    middle, right = np.array([[0.28]], np.float32), np.float32(0.56) - left
    assert dbscan(np.concatenate((middle, left, right))).tolist() == [0] + [0] * 15 + [1] * 15
    assert dbscan(np.concatenate((right, left, middle))).tolist() == [0] * 15 + [1] * 15 + [0]


@pytest.mark.slow
def test_many_hits_at_one_place_are_one_particle():
    points = np.random.default_rng(0).normal(0, 0.01, (20_000, 8)).astype(np.float32)
    assert not dbscan(points).any()


def test_only_signal_hits_that_are_not_diffuse_belong_to_particles():
    place = np.zeros((60, 8), np.float32)
    scores = np.zeros((60, 7), np.float32)
    scores[:20, DIFFUSE] = 1
    keep = np.full(60, 0.7, np.float32)
    keep[20:40] = 0.5
    every = [0] * 60
    assert particles({"ox": place}).tolist() == every
    assert particles({"ox": place, "x_semantic": scores}).tolist() == [-1] * 20 + [0] * 40
    assert particles({"ox": place, "x_filter": keep}).tolist() == [0] * 20 + [-1] * 20 + [0] * 20
    both = {"ox": place, "x_filter": keep, "x_semantic": scores}
    assert particles(both).tolist() == [-1] * 40 + [0] * 20
    # With five classes there is no diffuse one.
    assert particles({"ox": place, "x_semantic": scores[:, :5]}).tolist() == every


@pytest.mark.parametrize("hits", [0, 1, 2, 14])
def test_few_hits_are_no_particle(hits):
    assert particles({"ox": np.zeros((hits, 8), np.float32)}).tolist() == [-1] * hits


def test_a_place_that_is_no_number_is_no_particle():
    place = np.zeros((20, 8), np.float32)
    place[3, 1] = np.nan
    assert particles({"ox": place}).tolist() == [0] * 3 + [-1] + [0] * 16
