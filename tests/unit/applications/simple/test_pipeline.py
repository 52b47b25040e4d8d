import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naiad.applications.simple.pipeline import Simple
from naiad.core.pipeline import Request
from naiad.core.schema import validate
from naiad.runtime.runner import Runner
from naiad.triton.config import model_config

ROWS = st.integers(1, 8).flatmap(
    lambda rows: st.tuples(arrays(np.int32, (rows, 16)), arrays(np.int32, (rows, 16)))
)


def test_the_config_is_that_of_triton_s_example():
    config = model_config(Simple, {})
    assert (config.name, config.max_batch_size) == ("simple", 8)
    assert [(t.name, list(t.dims)) for t in (*config.input, *config.output)] == [
        (name, [16]) for name in ("INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1")
    ]


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_every_request_gets_its_sums_and_differences(given):
    requests = []
    for a, b in given:
        request = {"INPUT0": a, "INPUT1": b}
        requests.append(Request(request, validate(Simple.inputs, request)))
    report = Runner(Simple()).run(requests)
    assert len(report.batches) == 1
    for (a, b), outcome in zip(given, report.outcomes, strict=True):
        assert np.array_equal(outcome["OUTPUT0"], a + b)
        assert np.array_equal(outcome["OUTPUT1"], a - b)
