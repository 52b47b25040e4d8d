from typing import Any

import numpy as np
import pytest

from naiad.errors import DeadlineExceeded, NaiadError, PipelineError, Unavailable
from naiad.triton.probing import answered, probe
from naiad.triton.prometheus import Sample


class Answering:
    """A fake client whose server gives one answer and reports its readiness."""

    def __init__(self, error: NaiadError | None, ready: bool = True) -> None:
        self.error = error
        self.says_ready = ready

    def infer(self, *_: Any, **__: Any) -> None:
        if self.error is not None:
            raise self.error

    def ready(self, *_: Any, **__: Any) -> bool:
        return self.says_ready


@pytest.mark.parametrize(
    ("error", "ready", "verdict"),
    [
        (None, True, "answers"),
        (DeadlineExceeded("60 s are over"), True, "silent"),
        (Unavailable("Stub process 'a_0_0' is not healthy."), True, "silent"),
        (Unavailable("no server answers"), False, "silent"),
        (Unavailable("the queue is full"), True, "refuses"),
        (PipelineError("CUDA is gone"), True, "refuses"),
    ],
)
def test_silence_is_told_apart_from_an_answer_that_is_an_error(
    error: NaiadError | None, ready: bool, verdict: str
):
    client: Any = Answering(error, ready)
    finding = probe(client, "a", {"x": np.zeros(1)}, 10)
    assert finding.verdict == verdict
    assert finding.able == (error is None)
    assert bool(finding.reason) == (error is not None)


def test_a_model_without_example_is_believed_what_triton_says_of_it():
    ready: Any = Answering(PipelineError("never asked"))
    assert probe(ready, "a", None, 1).verdict == "answers"
    gone: Any = Answering(None, ready=False)
    assert probe(gone, "a", None, 1).verdict == "silent"


def test_answers_are_counted_by_naiad_where_it_counts_and_by_triton_elsewhere():
    samples = [
        Sample("nv_inference_request_success", {"model": "plain"}, 3),
        Sample("nv_inference_request_success", {"model": "ours"}, 9),  # accepted, not answered
        Sample("naiad_requests_total", {"model": "ours"}, 5),
        Sample("naiad_errors_total", {"model": "ours", "kind": "InvalidInput"}, 1),
        Sample("naiad_errors_total", {"model": "ours", "kind": "Unavailable"}, 1),
    ]
    assert answered(samples) == {"plain": 3, "ours": 3}
