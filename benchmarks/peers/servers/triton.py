"""Triton's Python backend by hand: dynamic batches of ragged requests, an instance per core.

Its ``config.pbtxt`` has the tensors of Naiad's pipeline with a batch dimension, which is 1 in each
request; ``allow_ragged_batch`` lets Triton hand over requests of different shapes together.
"""

import os
import shutil
from pathlib import Path

from benchmarks.peers.servers import MODEL, options, serve_until_told
from benchmarks.peers.works import find_work

import naiad
from naiad.core.pipeline import load_pipeline
from naiad.triton.config import model_config, write_config

_HERE = Path(__file__).parent


def main() -> None:
    given = options()
    work = find_work(given.work)
    repository = Path(given.scratch) / "models"
    parameters = {"source": str(_HERE.parents[2]), "work": given.work}
    config = model_config(load_pipeline(work.pipeline), parameters, name=MODEL)
    config.backend = "python"
    config.max_batch_size = work.batch
    config.dynamic_batching.max_queue_delay_microseconds = round(1e6 * given.wait)
    config.instance_group[0].count = given.workers
    for tensor in config.input:
        tensor.allow_ragged_batch = True
    (repository / MODEL / "1").mkdir(parents=True)
    write_config(config, repository / MODEL / "config.pbtxt")
    shutil.copyfile(_HERE / "triton_model.py", repository / MODEL / "1" / "model.py")
    os.environ["NAIAD_PYTHON_ENVIRONMENT"] = given.environment
    ports = {"grpc_port": given.port, "http_port": 0, "metrics_port": 0}
    serve_until_told(naiad.Server(repository, **ports).start())


if __name__ == "__main__":
    main()
