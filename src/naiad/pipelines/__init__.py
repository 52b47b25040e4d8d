"""The applications that come with Naiad, by name; each is one folder beside this file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Application:
    """Where an application's parts are, as import paths, so that nothing heavy is imported early.

    Attributes:
        name: what one types: ``naiad serve NAME``.
        model: the model's name on the server, which existing clients may have fixed.
        summary: one line for lists and ``--help``.
        pipeline: ``module:Class`` of the Pipeline.
        client: ``module:Class`` of the typed client, which takes a ``naiad.client.ModelClient``.
        cli: the module with the application's own commands.
        requests: ``module:function`` that reads the requests in a file of the application's data.
        simulated: ``module:function`` that makes so many requests, from a seed, whose sizes are
            those of real ones.
    """

    name: str
    model: str
    summary: str
    pipeline: str
    client: str | None = None
    cli: str | None = None
    requests: str | None = None
    simulated: str | None = None


_APPLICATIONS = (
    Application(
        name="nugraph3",
        model="nugraph3",
        summary="semantic labels, event class and vertex of a neutrino event in a LArTPC",
        pipeline="naiad.pipelines.nugraph3.pipeline:NuGraph3",
        client="naiad.pipelines.nugraph3.client:NuGraph3Client",
        cli="naiad.pipelines.nugraph3.cli",
        requests="naiad.pipelines.nugraph3.events:read_requests",
        simulated="naiad.pipelines.nugraph3.simulate:simulated_requests",
    ),
    Application(
        name="gat",
        model="gat_test",
        summary="topic of each paper in a citation graph, by graph attention",
        pipeline="naiad.pipelines.gat.pipeline:Gat",
        client="naiad.pipelines.gat.client:GatClient",
        cli="naiad.pipelines.gat.cli",
        requests="naiad.pipelines.gat.graphs:read_requests",
    ),
)


def applications() -> tuple[Application, ...]:
    """All built-in applications."""
    return _APPLICATIONS


def application(name: str) -> Application | None:
    """The built-in application of that name, or which serves the model of that name, or None."""
    return next((app for app in _APPLICATIONS if name in (app.name, app.model)), None)
