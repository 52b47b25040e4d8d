"""A call of a served model to paste: it was tried on the server, with a unit like the user's."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from naiad.errors import NaiadError
from naiad.tasks.served import application_of_model
from naiad.tasks.task import Parses, Simulates, Task

if TYPE_CHECKING:
    from naiad.client import Client
    from naiad.core.schema import Array, Arrays

_LITERAL: Final = 8  # elements up to which an example's array is written out
_PATIENCE: Final = 20.0  # seconds for an answer
_LONGEST: Final = 200  # bytes of a string that is written out


def example_call(own_url: str, url: str, model: str, request: Arrays | None, spec: str = "") -> str:
    """Return commands or Python that call the model at ``url``, and that it answers.

    Args:
        own_url: of the server, to try the call.
        url: as users give it.
        model: its name.
        request: one that the model has answered, if one is known.
        spec: of the model's pipeline, if it is one of Naiad's.
    """
    from naiad.client import Client

    with Client(own_url, timeout=_PATIENCE, retries=0) as client:
        return _call(client, url, model, request, spec)


def _call(client: Client, url: str, model: str, request: Arrays | None, spec: str) -> str:
    known = application_of_model(model, spec)
    if known is not None and issubclass(known, Task):
        named = "" if known.model == model else f" --model {model}"
        asked = f"{named} --url {shlex.quote(url)}"
        if issubclass(known, Parses):
            words = shlex.split(known.example)
            end = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
            if _answers(known, client, model, [known().parse(word) for word in words[:end]]):
                return f"naiad infer {known.name} {known.example}{asked}"
        elif issubclass(known, Simulates):
            task: Any = known()
            made = task.simulate(known.simulated_number, 0, known.SimulateOptions())
            if _answers(known, client, model, [unit for _, unit in islice(made, 1)]):
                path = known.simulated_output
                return (
                    f"naiad simulate {known.name} -o {path}\nnaiad infer {known.name} {path}{asked}"
                )
    if request and _takes_short(client, model, request):
        return python_call(url, model, request)
    return f'import naiad\nprint(naiad.Client("{url}").metadata("{model}"))'


def _answers(kind: type[Any], client: Client, model: str, units: Sequence[Any]) -> bool:
    """Return True if the model answers the units, and its answers mean something to the task."""
    task = kind()
    try:
        asked = kind.client_of(client.model(model))
        options = task.sample_options()
        with closing(asked.answers(units, options)) as answers:
            return not any(isinstance(answer, NaiadError) for answer in answers)
    except Exception:  # another's model of the same name may have any contract
        return False


def _takes_short(client: Client, model: str, request: Arrays) -> bool:
    """Return True if the model answers a request with zeros in place of long arrays."""
    given = {name: _short(array) for name, array in request.items()}
    texts = [
        str(value) for array in given.values() if array.dtype == object for value in array.flat
    ]
    if any(len(text) > _LONGEST for text in texts):  # a file
        return False
    try:
        client.infer(model, given)
    except NaiadError:
        return False
    return True


def python_call(url: str, model: str, request: Arrays) -> str:
    """Return Python that sends the request, with zeros in place of long arrays."""
    tensors = ",\n".join(f'    "{name}": {_literal(array)}' for name, array in request.items())
    return (
        f"import numpy as np\nimport naiad\n"
        f'client = naiad.Client("{url}")\n'
        f'print(client.infer("{model}", {{\n{tensors},\n}}))'
    )


def _short(array: Array) -> Array:
    if array.size <= _LITERAL:
        return array
    value = array.flat[0] if array.dtype == object else 0
    return np.full(array.shape, value, array.dtype)


def _literal(array: Array) -> str:
    if array.size <= _LITERAL:
        # Of an array without elements the list has neither the shape nor the dtype.
        return repr(array.tolist()) if array.size else f'np.zeros({array.shape}, "{array.dtype}")'
    if array.dtype == object:
        return f"np.full({array.shape}, {array.flat[0]!r}, object)"
    return f'np.zeros({array.shape}, "{array.dtype}")'
