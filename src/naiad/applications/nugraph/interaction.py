"""Products of a simulated neutrino interaction: particles, their tracks and their truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph import detector
from naiad.applications.nugraph.detector import Floats
from naiad.applications.nugraph.labels import CATEGORY
from naiad.applications.nugraph.propagate import (
    ELECTRON,
    KAON,
    MINIMUM_IONISING,
    MUON,
    PION,
    PROTON,
    Species,
    Steps,
    blips,
    forward_direction,
    random_direction,
    shower,
    track,
)

BEAM: Final[Floats] = np.array([0.0, 0.0, 1.0])
"""Direction of the neutrinos."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Parameters of small events (about 200 hits) or large ones (about 1,300).

    Attributes:
        energy: factor on the energies of particles that leave the nucleus.
        cosmic_rays: mean number per event.
        cosmic_length: mean visible length of a cosmic ray, in cm, beyond 5 cm.
        blips: mean number of isolated energy deposits per neutron.
        noise_clusters: mean number of fake signals per event.
        points_per_hit: maximum number of spacepoints of one hit of plane y.
    """

    energy: float
    cosmic_rays: float
    cosmic_length: float
    blips: float
    noise_clusters: float
    points_per_hit: int


def wires(positions: Floats) -> NDArray[np.int32]:
    """Return the wires ``[n, 3]`` (u, v, y) that collect charge from points ``[n, 3]``."""
    return np.floor(detector.wire_coordinates(positions)).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Particle:
    """A row of pynuml's particle_table."""

    g4_id: int
    parent_id: int
    pdg: int
    momentum: float
    start: Floats
    end: Floats
    start_process: bytes
    end_process: bytes
    category: int
    instance: int


@dataclass(slots=True)
class Interaction:
    """The products of one vertex, made particle by particle. Energies are in MeV."""

    rng: np.random.Generator
    scale: Scale
    vertex: Floats
    steps: list[Steps] = field(default_factory=list)
    particles: list[Particle] = field(default_factory=list)
    visible: float = 0.0
    instances: int = 0

    def lepton(self, label: str) -> float:
        """Make the outgoing charged lepton, if any; return its energy in GeV."""
        if label == "nc":
            return 0.0
        kinetic = self._energy(24.0, 20.0)
        if label == "cc_nutau":
            return self._tau_decay(kinetic)
        heading = forward_direction(self.rng, BEAM, 0.7)
        if label == "cc_nue":
            kinetic = max(kinetic, 35.0)
            self._shower(11, self.vertex, heading, kinetic, 0, b"primary")
        else:
            self._muon(self.vertex, heading, kinetic, 0, b"primary")
        return kinetic / 1000.0

    def hadrons(self, label: str) -> None:
        """Make protons, pions and, rarely, kaons from the nucleus."""
        rng = self.rng
        neutral = label == "nc"
        for _ in range(rng.poisson(1.6 if neutral else 1.2)):
            heading = forward_direction(rng, BEAM, 1.0)
            kinetic = 20.0 + rng.exponential(38.0 * self.scale.energy**0.5)
            self._proton(self.vertex, heading, kinetic, 0, b"primary")
        for _ in range(rng.poisson(0.55 if neutral else 0.3)):
            heading = forward_direction(rng, BEAM, 1.0)
            self._pion(self.vertex, heading, self._energy(22.0, 16.0), 0, b"primary")
        if rng.random() < 0.06:
            heading = forward_direction(rng, BEAM, 1.0)
            self._kaon(self.vertex, heading, 35.0 + rng.exponential(40.0))
        if rng.random() < (0.22 if neutral else 0.05):
            self._neutral_pion(self._energy(30.0, 15.0))
        if not self.particles:
            self._proton(self.vertex, random_direction(rng), 60.0, 0, b"primary")

    def neutrons(self) -> None:
        """Make neutrons: no track, but scattered energy deposits far from the vertex."""
        rng = self.rng
        for _ in range(1 + rng.poisson(0.6)):
            neutron = len(self.particles) + 1
            kinetic = rng.exponential(60.0)
            stop = self.vertex + random_direction(rng) * rng.exponential(35.0)
            momentum = float(np.sqrt(kinetic * (kinetic + 2 * 939.57))) / 1000.0
            self._record(
                2112, momentum, self.vertex, stop, 0, b"primary", b"neutronInelastic", "diffuse"
            )
            count = rng.poisson(self.scale.blips)
            energies = 0.4 + rng.exponential(1.4, size=count)
            origins = stop + rng.normal(size=(count, 3)) * rng.exponential(22.0, size=(count, 1))
            numbers = np.arange(count) + neutron + 1
            fragments = blips(rng, origins, energies, numbers)
            self.steps.append(fragments)
            last = np.searchsorted(fragments.particle, numbers, side="right") - 1
            for origin, end, energy in zip(origins, fragments.end[last], energies, strict=True):
                self._record(
                    11,
                    ELECTRON.momentum(float(energy)),
                    origin,
                    end,
                    neutron,
                    b"compt",
                    b"eIoni",
                    "diffuse",
                )

    def background(self) -> None:
        """Make cosmic rays and radioactivity: energy without truth."""
        rng = self.rng
        for _ in range(rng.poisson(self.scale.cosmic_rays)):
            heading = forward_direction(rng, np.array([0.0, -1.0, 0.0]), 0.6)
            length = 5.0 + rng.exponential(self.scale.cosmic_length)
            centre = self.vertex + rng.normal(size=3) * (60.0, 40.0, 60.0)
            fast = MINIMUM_IONISING * (length + 400.0)
            travelled = length / MUON.range_of(fast)
            start = centre - heading * length / 2
            self.steps.append(track(rng, MUON, start, heading, fast, -1, travelled=travelled))
        count = rng.poisson(5.0)
        origins = rng.uniform(detector.LOWER, detector.UPPER, size=(count, 3))
        energies = 0.2 + rng.exponential(0.7, size=count)
        self.steps.append(blips(rng, origins, energies, np.full(count, -1, np.int64)))

    def particle_table(self) -> dict[str, NDArray[Any]]:
        """Return the columns of pynuml's particle_table."""
        rows = self.particles
        table: dict[str, NDArray[Any]] = {
            "g4_id": np.array([row.g4_id for row in rows], np.int32),
            "parent_id": np.array([row.parent_id for row in rows], np.int32),
            "type": np.array([row.pdg for row in rows], np.int32),
            "momentum": np.array([row.momentum for row in rows], np.float32),
            "start_process": np.array([row.start_process for row in rows], object),
            "end_process": np.array([row.end_process for row in rows], object),
            "category": np.array([row.category for row in rows], np.int32),
            "instance": np.array([row.instance for row in rows], np.int32),
        }
        ends = {
            "start": np.array([row.start for row in rows]),
            "end": np.array([row.end for row in rows]),
        }
        for end, positions in ends.items():
            table[f"{end}_position"] = positions.astype(np.float32)
            table[f"{end}_position_corr"] = positions.astype(np.float32)
            table[f"{end}_wire_pos"] = wires(positions)
            table[f"{end}_wire_time"] = detector.drift_ticks(positions[:, 0]).astype(np.float32)
        return table

    def _energy(self, typical: float, least: float) -> float:
        return least + self.rng.gamma(1.6, typical * self.scale.energy / 1.6)

    def _record(
        self,
        pdg: int,
        momentum: float,
        start: Floats,
        end: Floats,
        parent: int,
        start_process: bytes,
        end_process: bytes,
        category: str,
    ) -> int:
        """Add a particle to the truth; return its number, counted from 1."""
        instance = -1
        if category != "diffuse":
            instance = self.instances
            self.instances += 1
        number = len(self.particles) + 1
        self.particles.append(
            Particle(
                number,
                parent,
                pdg,
                momentum,
                start,
                end,
                start_process,
                end_process,
                CATEGORY[category],
                instance,
            )
        )
        return number

    def _track(
        self,
        species: Species,
        category: str,
        start: Floats,
        heading: Floats,
        kinetic: float,
        parent: int,
        processes: tuple[bytes, bytes],
        *,
        travelled: float = 1.0,
        sign: int = 1,
    ) -> tuple[int, Floats]:
        number = len(self.particles) + 1
        steps = track(self.rng, species, start, heading, kinetic, number, travelled=travelled)
        self.steps.append(steps)
        self.visible += kinetic if parent == 0 else 0.0
        momentum = species.momentum(kinetic)
        self._record(sign * species.pdg, momentum, start, steps.stop, parent, *processes, category)
        return number, steps.stop

    def _muon(
        self, start: Floats, heading: Floats, kinetic: float, parent: int, process: bytes
    ) -> None:
        decays = self.rng.random() < 0.75
        ending = b"Decay" if decays else b"muMinusCaptureAtRest"
        number, stop = self._track(MUON, "muon", start, heading, kinetic, parent, (process, ending))
        if decays:
            self._michel(stop, number)

    def _michel(self, start: Floats, parent: int) -> None:
        """Make a stopped muon's Michel electron: up to 53 MeV, with a few radiated fragments."""
        rng = self.rng
        # The spectrum x^2 (3 - 2 x) is close to this beta distribution.
        energy = 52.8 * rng.beta(3.3, 1.5)
        number, stop = self._track(
            ELECTRON,
            "michel",
            start,
            random_direction(rng),
            energy * 0.75,
            parent,
            (b"Decay", b"eIoni"),
            sign=-1,
        )
        count = rng.poisson(2.0)
        origins = stop + rng.normal(size=(count, 3)) * 6.0
        energies = energy * 0.25 / max(count, 1) * rng.uniform(0.4, 1.4, size=count)
        self.steps.append(blips(rng, origins, energies, np.full(count, number, np.int64)))

    def _proton(
        self, start: Floats, heading: Floats, kinetic: float, parent: int, process: bytes
    ) -> None:
        travelled = 1.0 if self.rng.random() < 0.85 else self.rng.uniform(0.3, 1.0)
        ending = b"hIoni" if travelled == 1.0 else b"protonInelastic"
        self._track(
            PROTON,
            "hadron",
            start,
            heading,
            kinetic,
            parent,
            (process, ending),
            travelled=travelled,
        )

    def _pion(
        self, start: Floats, heading: Floats, kinetic: float, parent: int, process: bytes
    ) -> None:
        rng = self.rng
        positive = rng.random() < 0.5
        interacts = rng.random() < 0.45
        travelled = rng.uniform(0.2, 1.0) if interacts else 1.0
        ending = b"piInelastic" if interacts else b"Decay" if positive else b"hBertiniCaptureAtRest"
        number, stop = self._track(
            PION,
            "pion",
            start,
            heading,
            kinetic,
            parent,
            (process, ending),
            travelled=travelled,
            sign=1 if positive else -1,
        )
        if interacts or not positive:
            for _ in range(rng.poisson(1.4)):
                energy = 15.0 + rng.exponential(30.0)
                self._proton(stop, random_direction(rng), energy, number, ending)
        else:
            # pi+ -> mu+ at rest: 4.1 MeV, a track of a millimetre.
            self._muon(stop, random_direction(rng), 4.1, number, b"Decay")

    def _kaon(self, start: Floats, heading: Floats, kinetic: float) -> None:
        """Make a kaon that stops and decays to a muon of 152 MeV or to pions."""
        number, stop = self._track(KAON, "kaon", start, heading, kinetic, 0, (b"primary", b"Decay"))
        outwards = random_direction(self.rng)
        if self.rng.random() < 0.75:
            self._muon(stop, outwards, 152.0, number, b"Decay")
        else:
            self._pion(stop, outwards, 108.0, number, b"Decay")

    def _shower(
        self,
        pdg: int,
        start: Floats,
        heading: Floats,
        energy: float,
        parent: int,
        process: bytes,
    ) -> None:
        number = len(self.particles) + 1
        steps = shower(self.rng, start, heading, energy, number, photon=pdg == 22)
        self.steps.append(steps)
        self.visible += energy
        ending = b"conv" if pdg == 22 else b"eIoni"
        end = steps.start[0] if pdg == 22 else steps.stop
        self._record(pdg, energy / 1000.0, start, end, parent, process, ending, "shower")

    def _neutral_pion(self, kinetic: float) -> None:
        """Make a neutral pion, which decays at once to two photons."""
        rng = self.rng
        mass = 134.98
        heading = forward_direction(rng, BEAM, 1.0)
        momentum = float(np.sqrt(kinetic * (kinetic + 2 * mass)))
        number = self._record(
            111, momentum / 1000.0, self.vertex, self.vertex, 0, b"primary", b"Decay", "shower"
        )
        rest_frame = random_direction(rng)
        gamma, boost = 1.0 + kinetic / mass, momentum / mass
        for photon in (rest_frame, -rest_frame):
            along = float(photon @ heading)
            energy = mass / 2.0 * (gamma + boost * along)
            lifted = photon + heading * ((gamma - 1.0) * along + boost)
            lifted /= np.linalg.norm(lifted)
            if energy > 5.0:
                self._shower(22, self.vertex, lifted, energy, number, b"Decay")

    def _tau_decay(self, kinetic: float) -> float:
        """Make a tau, which decays within a millimetre to an electron, a muon or hadrons."""
        rng = self.rng
        energy = kinetic * 2.0 + 100.0
        heading = forward_direction(rng, BEAM, 0.3)
        tau = self._record(
            15,
            float(np.sqrt(energy * (energy + 2 * 1776.9))) / 1000.0,
            self.vertex,
            self.vertex,
            0,
            b"primary",
            b"Decay",
            "diffuse",
        )
        mode = rng.random()
        visible = max(40.0, energy * rng.uniform(0.3, 0.8))
        if mode < 0.18:
            self._shower(11, self.vertex, heading, visible, tau, b"Decay")
        elif mode < 0.35:
            self._muon(self.vertex, heading, visible, tau, b"Decay")
        else:
            prongs = 1 if rng.random() < 0.75 else 3
            for _ in range(prongs):
                direction = forward_direction(rng, heading, 0.5)
                self._pion(self.vertex, direction, max(30.0, visible / prongs), tau, b"Decay")
            if rng.random() < 0.6:
                self._neutral_pion(visible * 0.7)
        self.visible += visible
        return energy / 1000.0
