"""Call a model with NVIDIA's own client library, as existing clients do.

    naiad simulate nugraph3 -n 1 -o events.h5
    naiad serve nugraph3
    python examples/plain_client.py events.h5

Needs the extra `nugraph3-client`, to read the file.
"""

import sys

import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

from naiad.applications.nugraph.events import open_events


def main(path: str) -> None:
    """Print the shapes of an event's scores and vertex."""
    with open_events(path) as events:
        arrays = events[0].arrays()
    inputs = []
    for name, array in arrays.items():
        tensor = triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    with triton.InferenceServerClient("localhost:8001") as client:
        answer = client.infer("nugraph3", inputs)
    print(answer.as_numpy("e_evt").shape, answer.as_numpy("v_evt").shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
