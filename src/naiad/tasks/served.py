"""The tasks that the models on a server answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final, TypeVar

from naiad.application import Application, application, application_of, applications
from naiad.client import Client
from naiad.client.spec import card_of
from naiad.core.pipeline import load_pipeline
from naiad.errors import ModelNotFound, NaiadError, NotAllowed
from naiad.tasks.calls import TaskCall
from naiad.tasks.task import Task
from naiad.triton.config import PIPELINE_PARAMETER

T = TypeVar("T")

_FRESH: Final = 2.0  # seconds for which the list of models is not asked for again


class ServedTasks:
    """The models on a server, and a `TaskCall` for each that answers a task; thread-safe.

    Models that are loaded or unloaded later are noticed.
    """

    def __init__(self, client: Client) -> None:
        """Ask nothing yet; ``client`` stays the caller's to close."""
        self.client = client
        self._lock = Lock()
        self._asked = float("-inf")
        self._models: tuple[str, ...] = ()
        self._kinds: dict[str, type[Task[Any, Any]] | None] = {}
        self._calls: dict[str, TaskCall] = {}
        self._kept: dict[str, Any] = {}

    def models(self) -> tuple[str, ...]:
        """Return the names of the models that are served now.

        Raises:
            Unavailable: the server cannot be reached.
        """
        with self._lock:
            self._refresh()
            return self._models

    def calls(self) -> Mapping[str, TaskCall]:
        """Return a call of each task that is served, by name.

        The name is the application's; a second model of the same application has its own.

        Raises:
            Unavailable: the server cannot be reached.
        """
        with self._lock:
            self._refresh()
            return dict(self._calls)

    def call(self, name: str) -> TaskCall:
        """Return the call of a task.

        Raises:
            ModelNotFound: it is not served; names those that are.
            Unavailable: the server cannot be reached.
        """
        calls = self.calls()
        if name not in calls:
            raise ModelNotFound(f"no task {name!r} is served; tasks: {', '.join(calls) or 'none'}")
        return calls[name]

    def kept(self, model: str, make: Callable[[], T]) -> T:
        """Return what ``make`` returned for a model, made once while the model is served."""
        if model not in self._kept:
            self._kept[model] = make()
        return self._kept[model]

    def _refresh(self) -> None:
        if time.monotonic() - self._asked < _FRESH:
            return
        models = _models_on(self.client)
        self._asked = time.monotonic()
        if models == self._models:
            return
        self._models = models
        self._kinds = {name: self._kinds.get(name) or self._kind(name) for name in models}
        calls: dict[str, TaskCall] = {}
        for model, kind in self._kinds.items():
            if kind is not None:
                calls[model if kind.name in calls else kind.name] = TaskCall(
                    self.client, kind, model
                )
        self._calls = dict(sorted(calls.items()))
        self._kept = {model: found for model, found in self._kept.items() if model in models}

    def _kind(self, model: str) -> type[Task[Any, Any]] | None:
        card = card_of(self.client.config(model))
        known = application_of_model(model, card.get(PIPELINE_PARAMETER, ""))
        return known if known is not None and issubclass(known, Task) else None


def application_of_model(model: str, spec: str) -> type[Application] | None:
    """Return the application that a served model is of, or None.

    Args:
        model: its name.
        spec: of its pipeline, by the model's configuration; "" if it is not one of Naiad's.
    """
    if not spec:
        return application(model)
    maker, _, weights = spec.partition("(")
    if not weights:
        return application_of(spec)
    known = application(model)
    if known is not None and load_pipeline(known.pipeline).made_by == maker:
        return known
    return application_of(maker)


def _models_on(client: Client) -> tuple[str, ...]:
    try:
        found = client.statistics()["model_stats"]
    except NotAllowed:  # a key for some models only
        known = {application.model for application in applications()}
        return tuple(sorted(name for name in known if _is_ready(client, name)))
    return tuple(dict.fromkeys(sorted(model["name"] for model in found)))


def _is_ready(client: Client, model: str) -> bool:
    try:
        return client.ready(model)
    except NaiadError:
        return False
