"""The simulator keeps its promises: reproducible, consistent with its truth, the right size."""

from __future__ import annotations

import numpy as np
import pytest

from naiad.applications.nugraph import detector
from naiad.applications.nugraph.events import Event
from naiad.applications.nugraph.labels import BACKGROUND, EVENT_CLASSES, SEMANTIC_CLASSES
from naiad.applications.nugraph.propagate import (
    KAON,
    MUON,
    PION,
    PROTON,
    Species,
    Steps,
    straight,
    track,
)
from naiad.applications.nugraph.readout import read_out, recombined
from naiad.applications.nugraph.schema import INPUTS, PLANES
from naiad.applications.nugraph.simulate import simulate
from naiad.core.schema import validate
from naiad.errors import InvalidInput


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(simulate(150, seed=11))


def columns(event: Event) -> dict[str, np.ndarray]:
    assert event.truth is not None
    tables = {"hits": event.hits, "spacepoints": event.spacepoints, **event.truth.tables}
    return {f"{t}/{name}": values for t, table in tables.items() for name, values in table.items()}


def same(first: Event, second: Event) -> bool:
    left, right = columns(first), columns(second)
    return left.keys() == right.keys() and all(np.array_equal(left[k], right[k]) for k in left)


def test_the_same_seed_gives_the_same_events_however_many(events: list[Event]) -> None:
    again = list(simulate(5, seed=11))
    assert all(same(first, second) for first, second in zip(events, again, strict=False))
    assert not any(
        same(first, second) for first, second in zip(events, simulate(5, seed=12), strict=False)
    )
    assert not same(again[0], again[1])


def test_events_are_made_one_at_a_time() -> None:
    endless = simulate(10**12, seed=1)
    assert next(endless).event == 0
    assert next(endless).event == 1


def test_zero_events_are_allowed_and_wrong_arguments_refused() -> None:
    assert list(simulate(0)) == []
    with pytest.raises(InvalidInput, match="n is -1"):
        simulate(-1)
    with pytest.raises(InvalidInput, match="seed is -2"):
        simulate(1, seed=-2)
    with pytest.raises(InvalidInput, match="size is 'huge'; events are 'small' or 'large'"):
        simulate(1, size="huge")  # type: ignore[arg-type]


def test_every_event_is_a_valid_request(events: list[Event]) -> None:
    for event in events:
        validate(INPUTS, event.arrays())


def test_every_class_occurs(events: list[Event]) -> None:
    labels = np.concatenate([event.truth.semantic for event in events if event.truth])
    counts = np.bincount(labels - BACKGROUND, minlength=len(SEMANTIC_CLASSES) + 1)
    assert (counts > 100).all(), dict(zip(("background", *SEMANTIC_CLASSES), counts, strict=True))
    kinds = np.bincount([event.truth.event_class for event in events if event.truth])
    assert len(kinds) == len(EVENT_CLASSES)
    assert kinds.min() > 0


def test_events_have_the_size_of_real_ones(events: list[Event]) -> None:
    hits = np.array([len(event.hits["hit_id"]) for event in events])
    points = np.array([len(event.spacepoints["spacepoint_id"]) for event in events])
    assert 150 < np.median(hits) < 300
    assert 50 < np.median(points) < 200
    large = list(simulate(30, seed=11, size="large"))
    assert 900 < np.mean([len(event.hits["hit_id"]) for event in large]) < 2000
    assert 700 < np.mean([len(event.spacepoints["hit_id_u"]) for event in large]) < 2000


def test_features_are_distributed_like_those_of_the_public_training_sample(
    events: list[Event],
) -> None:
    # Mean and spread of wire * 0.3, time * 0.055, integral, rms by plane (u, v, y), from SPEC.
    real = {
        0: ([389.4, 172.9, 147.8, 4.56], [147.2, 78.0, 228.3, 2.22]),
        1: ([368.8, 173.0, 154.1, 4.45], [145.3, 80.5, 282.3, 1.90]),
        2: ([546.3, 172.8, 117.0, 4.16], [283.5, 74.0, 115.5, 1.46]),
    }
    hits = {k: np.concatenate([event.hits[k] for event in events]) for k in events[0].hits}
    for plane, (mean, spread) in real.items():
        on_plane = hits["local_plane"] == plane
        features = (
            hits["local_wire"][on_plane] * 0.3,
            hits["local_time"][on_plane] * 0.055,
            hits["integral"][on_plane],
            hits["rms"][on_plane],
        )
        for values, centre, width in zip(features, mean, spread, strict=True):
            assert abs(values.mean() - centre) < 0.35 * width
            assert 0.3 * width < values.std() < 1.3 * width


def test_hits_lie_in_the_detector_and_the_readout(events: list[Event]) -> None:
    for event in events:
        wires = np.array(detector.WIRES)[event.hits["local_plane"]]
        assert (event.hits["local_wire"] >= 0).all()
        assert (event.hits["local_wire"] < wires).all()
        assert (event.hits["local_time"] > 0).all()
        assert (event.hits["local_time"] < detector.READOUT_TICKS).all()
        assert (event.hits["integral"] > 0).all()
        assert (event.hits["rms"] > 0).all()
        assert event.hits["hit_id"].tolist() == list(range(len(wires)))


def test_spacepoints_name_hits_of_their_planes_that_coincide(events: list[Event]) -> None:
    for event in events:
        ids = np.stack([event.spacepoints[f"hit_id_{plane}"] for plane in PLANES], axis=1)
        known = ids >= 0
        assert (ids >= -1).all()
        assert (ids < len(event.hits["hit_id"])).all()
        assert (known.sum(axis=1) >= 2).all()
        planes = event.hits["local_plane"][ids]
        assert (planes == np.arange(3))[known].all()
        times = np.where(known, event.hits["local_time"][ids], np.nan)
        assert (np.nanmax(times, axis=1) - np.nanmin(times, axis=1) <= 10.0).all()


def test_some_spacepoints_miss_a_plane_and_most_do_not(events: list[Event]) -> None:
    for plane in PLANES:
        ids = np.concatenate([event.spacepoints[f"hit_id_{plane}"] for event in events])
        assert 0.005 < (ids < 0).mean() < 0.3


def test_spacepoints_are_where_the_charge_was(events: list[Event]) -> None:
    # A charged-current event has a track at its vertex, so a point is close to it.
    distances = [
        np.linalg.norm(event.spacepoints["position"] - event.truth.vertex, axis=1).min()
        for event in events
        if event.truth and len(event.spacepoints["position"])
    ]
    assert np.median(distances) < 1.0


def test_labels_agree_with_the_truth_tables(events: list[Event]) -> None:
    for event in events:
        truth = event.truth
        assert truth is not None
        assert truth.semantic.shape == event.hits["hit_id"].shape
        particles = truth.tables["particle_table"]
        edeps = truth.tables["edep_table"]
        assert np.unique(particles["g4_id"]).size == particles["g4_id"].size
        assert np.isin(edeps["g4_id"], particles["g4_id"]).all()
        assert np.isin(particles["parent_id"], [0, *particles["g4_id"]]).all()
        signal = np.isin(event.hits["hit_id"], edeps["hit_id"])
        assert ((truth.semantic != BACKGROUND) == signal).all()
        # Hits have a class only if the event has a particle of it.
        pdg_of = {0: 211, 1: 13, 2: 321, 3: 2212}
        for label, pdg in pdg_of.items():
            if (truth.semantic == label).any():
                assert (np.abs(particles["type"]) == pdg).any()
        neutrino = truth.tables["event_table"]
        assert EVENT_CLASSES[truth.event_class] == (
            {12: "cc_nue", 14: "cc_numu", 16: "cc_nutau"}[abs(int(neutrino["nu_pdg"][0]))]
            if neutrino["is_cc"][0]
            else "nc"
        )
        assert detector.inside(truth.vertex.astype(np.float64), margin=5.0)
        np.testing.assert_array_equal(
            neutrino["nu_vtx_wire_pos"][0],
            np.floor(detector.wire_coordinates(truth.vertex.astype(np.float64))),
        )


def test_energy_fractions_of_a_hit_add_up(events: list[Event]) -> None:
    for event in events[:20]:
        assert event.truth is not None
        edeps = event.truth.tables["edep_table"]
        assert (edeps["energy"] > 0).all()
        total = np.bincount(edeps["hit_id"], edeps["energy_fraction"])
        np.testing.assert_allclose(total[total > 0], 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("species", "kinetic", "distance"),
    # Ranges in liquid argon from the PDG's muon tables and NIST's PSTAR.
    [(MUON, 100.0, 36.0), (MUON, 250.0, 105.0), (PROTON, 100.0, 7.7), (PROTON, 200.0, 26.0)],
)
def test_particles_stop_where_they_should(
    species: Species, kinetic: float, distance: float
) -> None:
    assert species.range_of(kinetic) == pytest.approx(distance, rel=0.25)


@pytest.mark.parametrize("species", [MUON, PION, KAON, PROTON])
@pytest.mark.parametrize("kinetic", [5.0, 50.0, 500.0])
def test_range_and_energy_are_inverse(species: Species, kinetic: float) -> None:
    back = species.kinetic(np.array([species.range_of(kinetic)]))
    assert back[0] == pytest.approx(kinetic)


def test_a_track_leaves_all_its_energy_and_most_at_its_end() -> None:
    rng = np.random.default_rng(0)
    steps = track(rng, PROTON, np.zeros(3), np.array([0.0, 0.0, 1.0]), 150.0, 1)
    assert steps.energy.sum() == pytest.approx(150.0, rel=0.1)
    assert steps.energy[-5:].sum() > 2 * steps.energy[:5].sum()
    np.testing.assert_allclose(steps.start[1:], steps.end[:-1])


def test_dense_charge_recombines_more() -> None:
    weak, strong = recombined(np.array([2.1, 20.0]), np.ones(2)) / [2.1, 20.0]
    assert weak == pytest.approx(0.63, abs=0.03)
    assert strong < 0.3


def test_charge_is_shared_between_the_wires_that_a_step_passes() -> None:
    # Along z, from the middle of a wire of plane y to the middle of the tenth after it.
    start = np.array([[50.0, 0.0, 300.15]])
    steps = straight(start, np.array([[0.0, 0.0, 1.0]]), np.array([3.0]), 1.0, np.array([1]))
    readouts = [
        read_out(np.random.default_rng(seed), steps, noise_clusters=0.0, points_per_hit=2)
        for seed in range(40)
    ]
    # Inefficiency and dead wires are random; the energy behind a hit is not.
    energy = np.full(11, np.nan)
    for readout in readouts:
        on_plane = np.flatnonzero(readout.hits["local_plane"] == 2)
        wires = readout.hits["local_wire"][on_plane] - 1000
        row = np.searchsorted(readout.edeps["hit_id"], on_plane)
        energy[wires] = readout.edeps["energy"][row]
    np.testing.assert_allclose(energy, [0.15, *[0.3] * 9, 0.15], rtol=1e-5)


def test_an_empty_detector_gives_an_event_without_hits() -> None:
    rng = np.random.default_rng(0)
    readout = read_out(rng, Steps.concatenate([]), noise_clusters=0.0, points_per_hit=2)
    for table in (readout.hits, readout.spacepoints, readout.edeps):
        assert {len(column) for column in table.values()} == {0}


def test_crossing_wires_cross_at_the_point() -> None:
    points = np.random.default_rng(0).uniform(detector.LOWER, detector.UPPER, (100, 3))
    places = detector.wire_coordinates(points)
    for a, b in ((0, 1), (1, 2), (0, 2)):
        crossing = detector.crossing(a, places[:, a] - 0.5, b, places[:, b] - 0.5)
        np.testing.assert_allclose(crossing, points[:, 1:])
    np.testing.assert_allclose(
        detector.drift_distance(detector.drift_ticks(points[:, 0])), points[:, 0]
    )


def test_the_geometry_is_that_of_the_real_event() -> None:
    # Truth of event_small.h5: nu_vtx_corr, nu_vtx_wire_pos and the time of its particles' start.
    vertex = np.array([11.82658, -100.627304, 311.01263])
    wires = detector.wire_coordinates(vertex)
    assert np.abs(wires - [1147, 560, 1036]).max() < 4
    assert detector.drift_ticks(vertex[:1])[0] == pytest.approx(1015.4, abs=1.0)
