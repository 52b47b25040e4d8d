"""The projection to the wires is fitted to spacepoints, or None if they do not determine it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.unit.applications.nugraph.served import make_event

from naiad.applications.nugraph import detector
from naiad.applications.nugraph.events import open_events
from naiad.applications.nugraph.projection import fit_projection
from naiad.applications.nugraph.simulate import simulate


def test_real_events_show_the_true_vertex_within_a_wire(shared_data: Path) -> None:
    import h5py

    path = shared_data / "nugraph3" / "event_small.h5"
    with open_events(path) as events, h5py.File(path) as file:
        seen = fit_projection(events)(file["event_table/nu_vtx_corr"][0])
        wires = file["event_table/nu_vtx_wire_pos"][0]
        tick = file["particle_table/start_wire_time"][0, 0]
    for plane, wire in zip("uvy", wires, strict=True):
        assert seen[plane] == (pytest.approx(wire, abs=1), pytest.approx(tick, abs=2))


def test_simulated_events_show_the_simulated_detector() -> None:
    projection = fit_projection(simulate(8, seed=3))
    for point in ([50, 0, 500], [200, -80, 900], [128, 100, 30]):
        position = np.array(point, float)
        wires = detector.wire_coordinates(position[None])[0]
        seen = projection(position)
        for number, plane in enumerate("uvy"):
            wire, time = seen[plane]
            # Wire numbers are rounded down: half a wire below the coordinate on average.
            assert wire == pytest.approx(wires[number] - 0.5, abs=1)
            assert time == pytest.approx(detector.drift_ticks(position[0]), abs=15)


def test_wrongly_matched_spacepoints_do_no_harm() -> None:
    (event,) = simulate(1, seed=3)
    wrong = event.spacepoints["position"].copy()
    wrong[::10, 1:] += 40
    spoiled = replace(event, spacepoints={**event.spacepoints, "position": wrong})
    centre = event.spacepoints["position"].mean(axis=0)
    seen, right = fit_projection([spoiled])(centre), fit_projection([event])(centre)
    for plane in "uvy":
        assert seen[plane] == pytest.approx(right[plane], abs=2)


def test_points_far_from_a_straight_track_are_left_out() -> None:
    event = make_event([0, 1, 2] * 20, spacepoints=20)
    steps = np.arange(20)[:, None]
    track = {
        **{
            f"hit_id_{plane}": (3 * np.arange(20) + n).astype(np.int32)
            for n, plane in enumerate("uvy")
        },
        "position": np.array([10, 20, 30]) + steps * np.array([2.0, 3.0, 4.0]),
    }
    event = replace(event, spacepoints={**event.spacepoints, **track})
    projection = fit_projection([event])
    on_track = np.array([20.0, 35.0, 50.0])
    assert set(projection(on_track)) == {"u", "v", "y"}
    # Beside the track, where a straight one does not separate y and z.
    assert projection(on_track + np.array([0, 20, -15])) == {}


def test_events_without_enough_information_give_none() -> None:
    assert fit_projection([]) is None
    assert fit_projection([make_event([0, 1, 2])]) is None
    no_hits = make_event([], spacepoints=5)
    positions = {**no_hits.spacepoints, "position": np.ones((5, 3))}
    assert fit_projection([replace(no_hits, spacepoints=positions)]) is None


def test_positions_that_do_not_fit_the_hits_give_none() -> None:
    (event,) = simulate(1, seed=3)
    shuffled = np.random.default_rng(0).permutation(event.spacepoints["position"])
    event = replace(event, spacepoints={**event.spacepoints, "position": shuffled})
    assert fit_projection([event]) is None
