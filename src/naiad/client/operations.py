"""What a client does for each question, step by step, without saying how a step is sent.

Each function is a generator: it yields a `Call`, is sent the answer (or has the error thrown in),
and returns the result. The blocking client and the asyncio client run the same generators.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, MutableMapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias, TypeVar

from numpy.typing import ArrayLike

from naiad.client.checks import (
    checked_inputs,
    checked_outputs,
    checked_parameters,
    checked_version,
)
from naiad.client.spec import ModelSpec
from naiad.client.transport import Arrays, Call, Calls, InferRequest, Json, ModelInfo, Parameter
from naiad.errors import InvalidInput, ModelNotFound, NaiadError, NotAllowed, Unavailable

T = TypeVar("T")

Operation: TypeAlias = Generator[Call[Any], Any, T]


def ask(call: Call[T]) -> Operation[T]:
    """Send one call and return its answer."""
    return (yield call)


def ready(calls: Calls, model: str | None) -> Operation[bool]:
    """Return whether the server (or one model) is ready; one that cannot be reached is not."""
    try:
        return (yield calls.ready(model))
    except NaiadError:
        return False


def about(calls: Calls, server: str, model: str, call: Call[T], version: str = "") -> Operation[T]:
    """Send a call about ``model``; when there is no such model, say which there are."""
    try:
        return (yield call)
    except ModelNotFound as error:
        raise (yield from _no_such_model(calls, server, model, version, error)) from error


def control(calls: Calls, server: str, model: str, call: Call[None]) -> Operation[None]:
    """Load or unload ``model``, which must be one of the server's repository.

    Raises:
        ModelNotFound: it is none; Triton 2.51 unloads what it does not have without a word.
        InvalidInput: the server does not take such calls.
    """
    models: tuple[ModelInfo, ...] = yield calls.models()
    if model not in {known.name for known in models}:
        raise _unknown(server, model, models)
    try:
        yield call
    except InvalidInput as error:
        if "explicit model load / unload is not allowed" not in str(error):
            raise
        raise InvalidInput(
            f"{server} loads and unloads no models when asked; it must be started with "
            f"--model-control-mode explicit"
        ) from None


def infer(
    calls: Calls,
    server: str,
    specs: MutableMapping[str, ModelSpec],
    model: str,
    arrays: Mapping[str, ArrayLike],
    outputs: Sequence[str] | None,
    parameters: Mapping[str, Parameter] | None,
    request_id: str,
    timeout: float,
    version: int | None = None,
) -> Operation[Arrays]:
    """Check a request against what the server says of the model, then send it.

    What the server says is kept in ``specs``. A request that does not fit is held against a
    fresh copy before it is refused: the model may have been replaced by another version.
    """

    def fitted(spec: ModelSpec) -> InferRequest:
        return InferRequest(
            model=model,
            arrays=checked_inputs(spec, arrays),
            outputs=checked_outputs(spec, outputs),
            parameters=checked_parameters(parameters),
            id=request_id,
            timeout=timeout,
            version=wanted,
        )

    wanted = checked_version(version)
    known = specs.get(model)
    try:
        request = fitted(known or (yield from _learn(calls, server, specs, model)))
    except InvalidInput:
        if known is None:
            raise
        request = fitted((yield from _learn(calls, server, specs, model)))
    return (yield from about(calls, server, model, calls.infer(request), wanted))


def _learn(
    calls: Calls, server: str, specs: MutableMapping[str, ModelSpec], model: str
) -> Operation[ModelSpec]:
    config: Json = yield from about(calls, server, model, calls.config(model))
    specs[model] = ModelSpec.from_config(config)
    return specs[model]


def _no_such_model(
    calls: Calls, server: str, model: str, version: str, error: ModelNotFound
) -> Operation[NaiadError]:
    try:
        models = yield from _models(calls)
    except NaiadError:
        return error
    served = [known.version for known in models if known.name == model and known.ready]
    if version and served:
        return ModelNotFound(
            f'model "{model}" at {server} has no version {version}; it has {", ".join(served)}'
        )
    for known in models:
        if known.name == model and not known.ready:
            reason = f": {known.reason}" if known.reason else ""
            return Unavailable(f'model "{model}" at {server} is {known.state}{reason}')
    return _unknown(server, model, [known for known in models if known.ready])


def _models(calls: Calls) -> Operation[tuple[ModelInfo, ...]]:
    """Return the models of the repository; to whom that is closed, those that have statistics."""
    try:
        return (yield calls.models())
    except NotAllowed:
        found: Json = yield calls.statistics(None)
    return tuple(ModelInfo(s["name"], s["version"], "READY") for s in found["model_stats"])


def _unknown(server: str, model: str, models: Iterable[ModelInfo]) -> ModelNotFound:
    names = sorted({known.name for known in models})
    close = get_close_matches(model, names)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return ModelNotFound(
        f'{server} has no model "{model}"; its models: {", ".join(names) or "none"}{hint}'
    )
