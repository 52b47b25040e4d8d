"""Whether a model's answer for a request depends on the requests it is merged with."""

from __future__ import annotations

from naiad.core.examples import TOLERANCE, difference, grown, varied
from naiad.core.pipeline import Pipeline
from naiad.core.schema import REQUESTS, Arrays
from naiad.error_text import described
from naiad.errors import NaiadError
from naiad.runtime.runner import Outcome, Runner
from naiad.runtime.trial import unlogged


def settle(runner: Runner) -> str:
    """Run the example; have a model that mixes requests answer one at a time; say what is wrong.

    Return "" if the example is answered and requests may be merged.

    Raises:
        InvalidInput: the example violates the pipeline's schema.
    """
    name = type(runner.pipeline).name
    request = runner.contract.request(runner.pipeline.example(), "", {})
    outcome = runner.run([request]).outcomes[0]
    if isinstance(outcome, NaiadError):
        return f"{name} does not answer its own example: {outcome}"
    if runner.pipeline.merges is not None or not (difference := mixes(runner)):
        return ""
    runner.run_alone()
    return (
        f"{name} is served one request at a time: its answer depends on the requests in the same "
        f"batch ({difference}). Pass `batch` to normalisation, attention and pooling layers"
    )


def tried(pipeline: Pipeline, device: str) -> str:
    """Set a pipeline up in this process and :func:`settle` it; say what is wrong, or ""."""
    try:
        with unlogged():
            return settle(Runner(pipeline, device))
    except Exception as error:  # of the user's code, or for lack of a GPU
        return f"{type(pipeline).name} cannot be run here: {described(error)}"


def mixes(runner: Runner) -> str:
    """Answer the example and a larger request alone and together; return how they differ, or "".

    The same once more with other values: those of an example may be too alike to show it. Compared
    are requests that the model answers: one that it refuses shows nothing.
    """
    if runner.budget.get(REQUESTS) == 1:
        return ""
    schema, example = runner.contract.inputs, runner.pipeline.example()
    larger = grown(schema, example)
    return _mixes(runner, [example, larger]) or _mixes(
        runner, [varied(schema, example, 0.6, 1), varied(schema, larger, 0.2, 0.4)]
    )


def _mixes(runner: Runner, given: list[Arrays]) -> str:
    alone = [_answer(runner, arrays) for arrays in given]
    if any(isinstance(one, NaiadError) for one in alone):
        return ""
    together = _answers(runner, given)
    for single, merged in zip(alone, together, strict=True):
        if difference := differs(single, merged):
            return difference
    return ""


def differs(alone: Outcome, together: Outcome) -> str:
    """Say how two answers to one request differ; "" if they are equal within rounding."""
    if isinstance(together, NaiadError) or isinstance(alone, NaiadError):
        return "" if type(alone) is type(together) else f"merged, it is answered with: {together}"
    for name, expected in alone.items():
        if name not in together or together[name].shape != expected.shape:
            return f"{name} has another shape"
        largest = difference(expected, together[name])
        if largest > TOLERANCE:
            return f"{name} differs by {largest:.2g} of its largest value"
    return ""


def _answer(runner: Runner, arrays: Arrays) -> Outcome:
    (outcome,) = _answers(runner, [arrays])
    return outcome


def _answers(runner: Runner, given: list[Arrays]) -> list[Outcome]:
    try:
        return runner.run([runner.contract.request(one, "", {}) for one in given]).outcomes
    except NaiadError as error:  # the larger request is refused
        return [error] * len(given)
