"""Operations of a client, each a sequence of calls, whatever sends them.

An operation is a generator: it yields a `Call`, is sent the answer (or has the error thrown in),
and returns the result. The blocking client and the asyncio client run the same operations.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias, TypeVar

from numpy.typing import ArrayLike

from naiad.client.checks import (
    checked_inputs,
    checked_outputs,
    checked_parameters,
    checked_text,
    checked_version,
)
from naiad.client.spec import ModelSpec
from naiad.client.transport import Arrays, Call, Calls, InferRequest, Json, ModelInfo, Parameter
from naiad.errors import InvalidInput, ModelNotFound, NaiadError, NotAllowed, Unavailable

T = TypeVar("T")

Operation: TypeAlias = Generator[Call[Any], Any, T]


class Operations:
    """The operations on one server, or several of the same models.

    A model's configuration is fetched once and kept in ``specs``. A request that does not fit is
    checked against a fresh copy before it is refused, as the model may have been replaced.
    """

    def __init__(self, calls: Calls, server: str) -> None:
        """Make operations of ``calls``; ``server`` is the server's name in errors."""
        self._calls = calls
        self._server = server
        self.specs: dict[str, ModelSpec] = {}

    def infer(
        self,
        model: str,
        arrays: Mapping[str, ArrayLike],
        outputs: Sequence[str] | None,
        parameters: Mapping[str, Parameter] | None,
        request_id: str,
        timeout: float,
        version: int | str | None = None,
    ) -> Operation[Arrays]:
        """Check a request against the model's configuration, then send it."""

        def fitted(spec: ModelSpec) -> InferRequest:
            return InferRequest(
                model=model,
                arrays=checked_inputs(spec, arrays),
                outputs=checked_outputs(spec, outputs),
                parameters=checked_parameters(parameters),
                id=checked_text("request_id", request_id),
                timeout=timeout,
                version=wanted,
            )

        wanted = checked_version(version)
        known = self.specs.get(model)
        try:
            request = fitted(known or (yield from self._learn(model)))
        except InvalidInput:
            if known is None:
                raise
            request = fitted((yield from self._learn(model)))
        return (yield from self._about(model, self._calls.infer(request), wanted))

    def card(self, model: str) -> Operation[Mapping[str, str]]:
        """Return the model card: the parameters in the model's configuration, by name."""
        known = self.specs.get(model)
        return (known or (yield from self._learn(model))).card

    def ready(self, model: str | None) -> Operation[bool]:
        """Return whether the server (or one model) can be reached and is ready."""
        try:
            return (yield self._calls.ready(model))
        except NaiadError:
            return False

    def models(self) -> Operation[tuple[ModelInfo, ...]]:
        """Return the models of the repository."""
        return (yield self._calls.models())

    def metadata(self, model: str | None) -> Operation[Json]:
        """Return the metadata of the server, or of one model."""
        return (yield from self._about(model, self._calls.metadata(model)))

    def config(self, model: str) -> Operation[Json]:
        """Return a model's configuration."""
        return (yield from self._about(model, self._calls.config(model)))

    def statistics(self, model: str | None) -> Operation[Json]:
        """Return the statistics of all models, or of one."""
        return (yield from self._about(model, self._calls.statistics(model)))

    def load(self, model: str) -> Operation[None]:
        """Load a model of the repository; errors as for :meth:`unload`."""
        return self._control(model, self._calls.load(model))

    def unload(self, model: str) -> Operation[None]:
        """Unload a model of the repository.

        Raises:
            ModelNotFound: it is not in the repository; Triton 2.51 itself does not report that.
            InvalidInput: the server does not take such calls.
        """
        return self._control(model, self._calls.unload(model))

    def _control(self, model: str, call: Call[None]) -> Operation[None]:
        models: tuple[ModelInfo, ...] = yield self._calls.models()
        if model not in {known.name for known in models}:
            raise self._unknown(model, models)
        try:
            yield call
        except InvalidInput as error:
            if "explicit model load / unload is not allowed" not in str(error):
                raise
            raise InvalidInput(
                f"{self._server} does not load or unload models on request; start it with "
                f"--model-control-mode explicit"
            ) from None

    def _learn(self, model: str) -> Operation[ModelSpec]:
        config: Json = yield from self.config(model)
        self.specs[model] = ModelSpec.from_config(config)
        return self.specs[model]

    def _about(self, model: str | None, call: Call[T], version: str = "") -> Operation[T]:
        """Send a call about ``model``; if it is not found, name those that are there."""
        try:
            return (yield call)
        except ModelNotFound as error:
            found = error
            if model is not None:
                found = yield from self._no_such_model(model, version, error)
            if found is error:
                raise  # from itself, it would be its own cause
            raise found from error

    def _no_such_model(
        self, model: str, version: str, error: ModelNotFound
    ) -> Operation[NaiadError]:
        try:
            models = yield from self._known_models()
        except NaiadError:
            return error
        name = f'model "{model}" at {self._server}'
        served = [known.version for known in models if known.name == model and known.ready]
        if version and served:
            return ModelNotFound(f"{name} has no version {version}; it has {', '.join(served)}")
        for known in models:
            if known.name == model and not known.ready:
                reason = f": {known.reason}" if known.reason else ""
                return Unavailable(f"{name} is {known.state}{reason}")
        return self._unknown(model, [known for known in models if known.ready])

    def _known_models(self) -> Operation[tuple[ModelInfo, ...]]:
        """Return the models of the repository; without access to it, those with statistics."""
        try:
            return (yield self._calls.models())
        except NotAllowed:
            found: Json = yield self._calls.statistics(None)
        return tuple(ModelInfo(s["name"], s["version"], "READY") for s in found["model_stats"])

    def _unknown(self, model: str, models: Iterable[ModelInfo]) -> ModelNotFound:
        names = sorted({known.name for known in models})
        close = get_close_matches(model, names)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        return ModelNotFound(
            f'{self._server} has no model "{model}"; its models: {", ".join(names) or "none"}{hint}'
        )
