"""The applications that come with Naiad, by name; each is one folder beside this file."""

from __future__ import annotations

from typing import Any, Final

from naiad.application import Application


def _declared(name: str, **attributes: Any) -> type[Application]:
    return type(name, (Application,), {"name": name, **attributes})


BUILT_IN: Final[tuple[type[Application], ...]] = (
    _declared(
        name="nugraph3",
        model="nugraph3",
        summary="semantic labels, event class and vertex of a neutrino event in a LArTPC",
        pipeline="naiad.applications.nugraph.pipeline:NuGraph3",
        client="naiad.applications.nugraph.client:NuGraph3Client",
        cli="naiad.applications.nugraph.cli",
        requests="naiad.applications.nugraph.events:read_requests",
        simulated="naiad.applications.nugraph.simulate:simulated_requests",
        bulk="naiad.applications.nugraph.bulk:NuGraph3Bulk",
        demos={"nugraph3": "naiad.applications.nugraph.demo:run"},
        packages=("scipy", "safetensors"),
    ),
)
