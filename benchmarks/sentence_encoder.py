"""Measure the cost of a text by runtime, precision and padding.

    python -m benchmarks.sentence_encoder [--rounds 9]

Prints medians of CPU time in one thread per text, in milliseconds, and ratios to Naiad's default.
The texts are simulated: most have 15 to 60 tokens. Needs the extra huggingface.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from benchmarks.examples.encoder import traced
from benchmarks.parts import medians

from naiad.applications.text.embedding.bert import IDS, MASK
from naiad.applications.text.embedding.encoder import Encoder, Tokens, run_ragged
from naiad.applications.text.embedding.importing import find_source, import_encoder, served_folder
from naiad.applications.text.embedding.packaged import NAME
from naiad.applications.text.embedding.simulate import simulated_texts

TEXTS = 24
DEFAULT = "ONNX Runtime, by length"


def torchscript(source: Path) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Trace the original network."""
    torch.set_num_threads(1)
    network = traced(source)

    def call(tokens: Mapping[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(tokens[IDS]), torch.from_numpy(tokens[MASK])).numpy()

    return call


def padded(tokens: Tokens, width: int) -> dict[str, np.ndarray]:
    """Pad all texts to one length."""
    inside = np.arange(width) < tokens.lengths[:, None]
    ids = np.zeros(inside.shape, np.int64)
    ids[inside] = tokens.ids
    return {IDS: ids, MASK: inside.astype(np.int64)}


def works(scratch: Path) -> dict[str, Callable[[], object]]:
    """Return the variants to measure by name."""
    source = find_source(NAME)
    import_encoder(source, scratch / "int8", name=NAME, int8=True)
    exact, int8 = Encoder(served_folder(None)), Encoder(scratch / "int8")
    texts = list(simulated_texts(TEXTS))
    tokens = exact.tokenize(texts)
    ragged = {IDS: tokens.ids, MASK: np.ones_like(tokens.ids)}
    runner = exact._network
    script = torchscript(source)
    longest = int(tokens.lengths.max())
    cosines = (exact.encode(texts) * int8.encode(texts)).sum(axis=1)
    print(f"{TEXTS} texts of {len(tokens.ids):,} tokens, the longest of {longest}")
    print(f"cosine of a text's vectors in 8 and in 32 bits: at least {cosines.min():.4f}")

    def by_length(network: Any) -> Callable[[], object]:
        return lambda: [run.numbers.shape for run in run_ragged(network, ragged, tokens.lengths)]

    return {
        DEFAULT: by_length(runner),
        "the same in 8 bits": by_length(int8._network),
        "TorchScript, by length": by_length(script),
        "ONNX Runtime, padded to the longest": lambda: runner(padded(tokens, longest)),
        "ONNX Runtime, padded to 256": lambda: runner(padded(tokens, 256)),
        "TorchScript, padded to 256": lambda: script(padded(tokens, 256)),
        "cutting texts into tokens": lambda: exact.tokenize(texts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch:
        everything = {name: (work, TEXTS) for name, work in works(Path(scratch)).items()}
        found = medians(everything, rounds)
    for name, median in found.items():
        print(f"{name:38} {median:8.2f} ms {median / found[DEFAULT]:8.2f}")


if __name__ == "__main__":
    main()
