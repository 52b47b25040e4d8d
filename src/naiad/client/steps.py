"""What a client does for each question, step by step, without saying how a step is sent.

Each function is a generator: it yields a `Call`, is sent the answer (or has the error thrown in),
and returns the result. The blocking client and the asyncio client run the same generators.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias, TypeVar

from numpy.typing import ArrayLike

from naiad.client.address import Address
from naiad.client.checks import checked_inputs, checked_outputs, checked_parameters
from naiad.client.spec import ModelSpec
from naiad.client.transport import Arrays, Call, Calls, InferRequest, Json, ModelInfo, Parameter
from naiad.errors import InvalidInput, ModelNotFound, NaiadError, Unavailable

T = TypeVar("T")

Steps: TypeAlias = Generator[Call[Any], Any, T]


def ask(call: Call[T]) -> Steps[T]:
    """Send one call and return its answer."""
    return (yield call)


def ready(calls: Calls, model: str | None) -> Steps[bool]:
    """Return whether the server (or one model) is ready; one that cannot be reached is not."""
    try:
        return (yield calls.ready(model))
    except NaiadError:
        return False


def about(calls: Calls, address: Address, model: str, call: Call[T]) -> Steps[T]:
    """Send a call about ``model``; when there is no such model, say which there are."""
    try:
        return (yield call)
    except ModelNotFound as error:
        raise (yield from _no_such_model(calls, address, model, error)) from error


def infer(
    calls: Calls,
    address: Address,
    specs: MutableMapping[str, ModelSpec],
    model: str,
    arrays: Mapping[str, ArrayLike],
    outputs: Sequence[str] | None,
    parameters: Mapping[str, Parameter] | None,
    request_id: str,
    timeout: float,
) -> Steps[Arrays]:
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
        )

    known = specs.get(model)
    try:
        request = fitted(known or (yield from _learn(calls, address, specs, model)))
    except InvalidInput:
        if known is None:
            raise
        request = fitted((yield from _learn(calls, address, specs, model)))
    return (yield from about(calls, address, model, calls.infer(request)))


def _learn(
    calls: Calls, address: Address, specs: MutableMapping[str, ModelSpec], model: str
) -> Steps[ModelSpec]:
    config: Json = yield from about(calls, address, model, calls.config(model))
    specs[model] = ModelSpec.from_config(config)
    return specs[model]


def _no_such_model(
    calls: Calls, address: Address, model: str, error: ModelNotFound
) -> Steps[NaiadError]:
    try:
        models: tuple[ModelInfo, ...] = yield calls.models()
    except NaiadError:
        return error
    for known in models:
        if known.name == model and not known.ready:
            reason = f": {known.reason}" if known.reason else ""
            return Unavailable(f'model "{model}" at {address} is {known.state}{reason}')
    names = ", ".join(sorted({known.name for known in models if known.ready})) or "none"
    return ModelNotFound(f'{address} has no model "{model}"; its models: {names}')
