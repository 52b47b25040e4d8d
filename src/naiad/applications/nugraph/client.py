"""NuGraph3 for physicists: events in, tables out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, overload

from naiad.applications.nugraph.results import EventArrays, Labels, NuGraph3Result
from naiad.client import ModelClient
from naiad.client.ordered_map import ask_many
from naiad.errors import NaiadError


class NuGraph3Client:
    """Asks a served NuGraph3; from ``client.nugraph3``, where ``client`` is a `naiad.Client`.

    Example::

        with naiad.Client("localhost:8001") as client, open_events("events.h5") as events:
            for result in client.nugraph3.infer_many(events):
                print(result.event, result.event_class, result.vertex)
    """

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model
        self._labels: Labels | None = None

    def __repr__(self) -> str:
        """The class and the server."""
        return f"NuGraph3Client({self.model!r})"

    @property
    def labels(self) -> Labels:
        """The model's classes and its notice, which the server is asked for once."""
        if self._labels is None:
            parameters = self.model.config().get("parameters", {})
            self._labels = Labels.from_metadata(
                {name: str(value.get("string_value", "")) for name, value in parameters.items()}
            )
        return self._labels

    def infer(
        self, event: EventArrays, *, strict: bool = False, timeout: float | None = None
    ) -> NuGraph3Result:
        """Reconstruct one event.

        Args:
            event: such as :func:`naiad.applications.nugraph.events.open_events` reads.
            strict: refuse an event with spacepoints that name a hit it does not have; else those
                are left out and counted in ``unknown_hits``.
            timeout: seconds, instead of the client's.

        Raises:
            InvalidInput: the event is not one; says which column, row and value, and what is right.
            NaiadError: as of `naiad.Client`.
        """
        outputs = self.model.infer(
            event.arrays(), parameters={"strict": strict}, request_id=_name(event), timeout=timeout
        )
        return NuGraph3Result.from_outputs(event, outputs, self.labels)

    @overload
    def infer_many(
        self,
        events: Iterable[EventArrays],
        *,
        concurrency: int = 8,
        progress: bool = False,
        strict: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[NuGraph3Result]: ...

    @overload
    def infer_many(
        self,
        events: Iterable[EventArrays],
        *,
        concurrency: int = 8,
        progress: bool = False,
        strict: bool = False,
        timeout: float | None = None,
        on_error: Literal["return"],
    ) -> Iterator[NuGraph3Result | NaiadError]: ...

    def infer_many(
        self,
        events: Iterable[EventArrays],
        *,
        concurrency: int = 8,
        progress: bool = False,
        strict: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Any]:
        """Reconstruct many events; yields their results in order, as they come.

        Args:
            events: taken as they are needed, so there may be any number of them.
            concurrency: how many are with the server at once.
            progress: show a progress bar on standard error.
            strict: as of :meth:`infer`.
            timeout: seconds per event, instead of the client's.
            on_error: "raise" ends at the first event that fails; "return" yields its error in its
                place and goes on.
        """
        answers = ask_many(
            lambda event: self.infer(event, strict=strict, timeout=timeout),
            events,
            label=self.model.name,
            concurrency=concurrency,
            progress=progress,
            on_error=on_error,
        )

        def results() -> Iterator[NuGraph3Result | NaiadError]:
            _ = self.labels  # before the threads, each of which would ask for them
            yield from answers

        return results()


def _name(event: EventArrays) -> str:
    return f"{event.run}/{event.subrun}/{event.event}"
