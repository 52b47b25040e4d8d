"""Sentences of 5 to 200 tokens to vectors, by all-MiniLM-L6-v2 in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from benchmarks.peers.codec import Arrays
from benchmarks.peers.works import Predict, Work

_SHORTEST, _LONGEST = 5, 200  # tokens, which common words are one of each, and two at the ends
_READ = 256  # tokens of a text


def make(number: int) -> list[Arrays]:
    from naiad.applications.text.embedding.simulate import simulated_texts

    texts = simulated_texts(8 * number + 64)
    fitting = (t for t in texts if _SHORTEST <= len(t.split()) + 2 <= _LONGEST)
    return [{"text": np.array([text.encode()], object)} for text in islice(fitting, number)]


def load() -> Predict:
    import onnxruntime
    from tokenizers import Tokenizer

    from naiad.applications.text.embedding.importing import served_folder

    folder = served_folder(None)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(_READ)
    tokenizer.enable_padding()  # to the longest of a batch
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    names = [given.name for given in session.get_inputs()]

    def predict(requests: Sequence[Arrays]) -> list[Arrays]:
        texts = [request["text"][0].decode() for request in requests]
        cut = tokenizer.encode_batch(texts)
        mask = np.array([one.attention_mask for one in cut], np.int64)
        given = {
            "input_ids": np.array([one.ids for one in cut], np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        (states,) = session.run(None, {name: given[name] for name in names})
        weights = mask.astype(np.float32)[:, :, None]
        means = (states * weights).sum(1) / weights.sum(1)
        vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
        return [
            {"embedding": vector[None], "truncated": np.array([bool(one.overflowing)])}
            for vector, one in zip(vectors, cut, strict=True)
        ]

    return predict


WORK = Work(
    title="MiniLM, sentences of 5 to 200 tokens",
    pipeline="text_embedding",
    tolerance=1e-4,
    batch=16,
    most=1_024 * 6,
    size=lambda request: len(request["text"][0]),  # bytes, some six of which are a token
    make=make,
    load=load,
)
