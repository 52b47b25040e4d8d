"""pytriton: requests as single elements of bytes, which Triton merges, a callable per core."""

import gc

import numpy as np
from benchmarks.peers.codec import pack, unpack
from benchmarks.peers.servers import MODEL, options
from benchmarks.peers.works import find_work
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


def answering(work):
    """Return an inference callable with a network of its own."""
    predict = work.load()

    @batch
    def answer(request):
        answers = predict([unpack(one) for one in request[:, 0]])
        return {"answer": np.array([*map(pack, answers), None], object)[:-1, None]}

    return answer


def main() -> None:
    given = options()
    work = find_work(given.work)
    config = TritonConfig(
        grpc_port=given.port,
        grpc_address="127.0.0.1",
        allow_http=True,
        http_port=given.port + 1,
        http_address="127.0.0.1",
        allow_metrics=False,
    )
    batcher = DynamicBatcher(max_queue_delay_microseconds=round(1e6 * given.wait))
    with Triton(config=config, workspace=f"{given.scratch}/workspace") as triton:
        triton.bind(
            MODEL,
            [answering(work) for _ in range(given.workers)],
            inputs=[Tensor(name="request", dtype=bytes, shape=(1,))],
            outputs=[Tensor(name="answer", dtype=bytes, shape=(1,))],
            config=ModelConfig(max_batch_size=work.batch, batcher=batcher),
        )
        gc.collect()
        gc.freeze()
        triton.serve()


if __name__ == "__main__":
    main()
