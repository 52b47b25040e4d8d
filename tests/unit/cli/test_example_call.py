"""The example of a served model; tests/e2e/test_hints.py runs those of all applications."""

from __future__ import annotations

import numpy as np

from naiad.cli.example_call import python_call

URL = "127.0.0.1:8001"


def test_the_example_of_a_model_of_ones_own_is_python_with_its_tensors():
    request = {
        "few": np.array([1.5, 2.5], np.float32),
        "many": np.zeros((3, 100), np.int64),
        "none": np.zeros((0, 3), np.float32),
        "texts": np.full(20, b"word", object),
    }
    call = python_call(URL, "mine", request)
    compile(call, "example", "exec")
    for part in (
        f'naiad.Client("{URL}")',
        '"few": [1.5, 2.5]',
        '"many": np.zeros((3, 100), "int64")',
        '"none": np.zeros((0, 3), "float32")',
        "\"texts\": np.full((20,), b'word', object)",
    ):
        assert part in call
