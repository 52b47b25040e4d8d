"""Simulated neutrino events in a liquid-argon time projection chamber, with their truth.

A toy with the right look: particles that start at a vertex, stop, scatter, shower and decay; debris
of neutrons; cosmic rays and noise; three wire planes with the pitch and angles of a real detector.
Good for trying and testing Naiad, not for physics: no cross sections, no nuclear effects, no field
response, no space charge.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph import detector
from naiad.applications.nugraph.detector import Floats
from naiad.applications.nugraph.events import Event, Truth
from naiad.applications.nugraph.interaction import BEAM, Interaction, Scale, wires
from naiad.applications.nugraph.propagate import Steps
from naiad.applications.nugraph.readout import read_out
from naiad.errors import InvalidInput

Size = Literal["small", "large"]

_PDG: Final = {"cc_nue": 12, "cc_numu": 14, "cc_nutau": 16}
_SHARES: Final = {"cc_nue": 0.27, "cc_numu": 0.37, "cc_nutau": 0.06, "nc": 0.30}
"""Frequency of each event class: not nature's, but enough of each to learn from."""

_MARGIN: Final = 10.0
_EVENTS_PER_SUBRUN: Final = 100
_SCALES: Final[dict[str, Scale]] = {
    "small": Scale(
        energy=1.0,
        cosmic_rays=0.25,
        cosmic_length=8.0,
        blips=2.5,
        noise_clusters=12.0,
        points_per_hit=2,
    ),
    "large": Scale(
        energy=13.0,
        cosmic_rays=1.5,
        cosmic_length=70.0,
        blips=12.0,
        noise_clusters=40.0,
        points_per_hit=4,
    ),
}


def simulate(n: int, seed: int = 0, *, size: Size = "small") -> Iterator[Event]:
    """Yield ``n`` events; event i depends on ``seed``, ``size`` and i alone.

    ``size``: "small" events have about 200 hits, "large" ones about 1,300 and as many spacepoints.
    Raises `InvalidInput` if ``n`` or ``seed`` is negative or ``size`` is unknown.
    """
    for name, value in (("n", n), ("seed", seed)):
        if value < 0:
            raise InvalidInput(f"{name} is {value}; it must be 0 or more")
    if size not in _SCALES:
        raise InvalidInput(f"size is {size!r}; events are {' or '.join(map(repr, _SCALES))}")
    return (
        simulate_event(
            # The same children as SeedSequence(seed).spawn(n), without making all n of them.
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,))),
            number=number,
            size=size,
        )
        for number in range(n)
    )


def simulate_event(rng: np.random.Generator, *, number: int = 0, size: Size = "small") -> Event:
    """Make one event with truth; its subrun and event number come from ``number``, its run is 1."""
    scale = _SCALES[size]
    label = str(rng.choice(list(_SHARES), p=list(_SHARES.values())))
    vertex = rng.uniform(detector.LOWER + _MARGIN, detector.UPPER - _MARGIN)
    interaction = Interaction(rng, scale, vertex)
    lepton_energy = interaction.lepton(label)
    interaction.hadrons(label)
    interaction.neutrons()
    interaction.background()
    readout = read_out(
        rng,
        Steps.concatenate(interaction.steps),
        noise_clusters=scale.noise_clusters,
        points_per_hit=scale.points_per_hit,
    )
    tables = {
        "event_table": _event_table(rng, label, vertex, interaction.visible, lepton_energy),
        "particle_table": interaction.particle_table(),
        "edep_table": readout.edeps,
    }
    return Event(
        run=1,
        subrun=number // _EVENTS_PER_SUBRUN,
        event=number,
        hits=readout.hits,
        spacepoints=readout.spacepoints,
        truth=Truth.from_tables(readout.hits["hit_id"], tables),
    )


def simulated_requests(n: int, seed: int = 0) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield requests for ``n`` simulated events, three small ones for each large one."""
    small, large = simulate(n, seed, size="small"), simulate(n, seed, size="large")
    for number in range(n):
        yield next(large if number % 4 == 3 else small).arrays()


def _event_table(
    rng: np.random.Generator, label: str, vertex: Floats, visible: float, lepton_energy: float
) -> dict[str, NDArray[Any]]:
    neutral = label == "nc"
    flavour = int(rng.choice((12, 14))) if neutral else _PDG[label]
    pdg = flavour if rng.random() < 0.85 else -flavour
    # Not seen: binding energy, neutrons, and the outgoing neutrino of a neutral current.
    energy = visible / 1000.0 * rng.uniform(1.5, 4.0) if neutral else visible / 1000.0 * 1.25 + 0.05
    return {
        "is_cc": np.array([not neutral], np.int32),
        "nu_pdg": np.array([pdg], np.int32),
        "nu_energy": np.array([energy], np.float32),
        "lep_energy": np.array([lepton_energy], np.float32),
        "nu_dir": BEAM[None].astype(np.float32),
        "nu_vtx": vertex[None].astype(np.float32),
        "nu_vtx_corr": vertex[None].astype(np.float32),
        "nu_vtx_wire_pos": wires(vertex[None]),
        "nu_vtx_wire_time": detector.drift_ticks(vertex[:1]).astype(np.float32),
    }
