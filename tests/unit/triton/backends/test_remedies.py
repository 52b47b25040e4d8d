"""Ways to serve a TensorFlow model without TensorFlow."""

from pathlib import Path

import pytest

from naiad.triton.backends.remedies import built_in, without_tensorflow

SIMPLE = """platform: "tensorflow_savedmodel" max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_INT32 dims: [16] },
        { name: "INPUT1" data_type: TYPE_INT32 dims: [16] } ]
output [ { name: "OUTPUT0" data_type: TYPE_INT32 dims: [16] },
         { name: "OUTPUT1" data_type: TYPE_INT32 dims: [16] } ]
"""


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("", "", ["simple"]),
        ("max_batch_size: 8", "", []),
        ("OUTPUT1", "OUTPUT2", []),
        ("TYPE_INT32 dims: [16] } ]\noutput", "TYPE_INT64 dims: [16] } ]\noutput", []),
    ],
)
def test_a_built_in_model_has_the_same_inputs_and_outputs(write, before, after, found):
    assert before in SIMPLE
    config = write(SIMPLE.replace(before, after), Path.mkdir, "model.savedmodel")
    assert [*built_in(config)] == found


def test_a_saved_model_is_converted_with_its_tag_and_signature(write):
    text = 'backend: "tensorflow" default_model_filename: "model.savedmodel"' + "".join(
        f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
        for key, value in (("TF_GRAPH_TAG", "serve"), ("TF_SIGNATURE_DEF", "predict"))
    )
    config = write(text, Path.mkdir, "model.savedmodel")
    message = str(without_tensorflow(config, config.model_file(1)))
    assert f"--saved-model {config.model_file(1)} --tag serve --signature_def predict" in message
    assert "Naiad's own model" not in message
