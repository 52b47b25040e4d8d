"""all-MiniLM-L6-v2 as the examples serve and ask it: TorchScript, texts padded to 256 tokens."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

import naiad
from naiad.applications.text.embedding.importing import find_source
from naiad.applications.text.embedding.packaged import NAME
from naiad.applications.text.embedding.schema import LENGTH


def traced(source: Path) -> Any:
    """Trace the original network: from ids and mask, ``[texts, tokens]``, to tokens' vectors."""
    module = AutoModel.from_pretrained(source, attn_implementation="sdpa").eval()

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, ids: Any, mask: Any) -> Any:
            return self.module(input_ids=ids, attention_mask=mask).last_hidden_state

    example = torch.ones(2, 7, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises against TorchScript, which examples use
        return torch.jit.freeze(torch.jit.trace(States().eval(), (example, example)))


class EncoderClient:
    """The examples' client: tokens before, means after the server's answer."""

    def __init__(self, model: str) -> None:
        """Load the tokenizer of the original."""
        self._tokenize = AutoTokenizer.from_pretrained(find_source(NAME))
        self._model = model

    async def __call__(self, client: naiad.AsyncClient, texts: list[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 per text, from one request with all of them.

        The notebooks also average over padding. Here it is left out, as in the encoder's training;
        otherwise answers would differ from Naiad's.
        """
        tokens = self._tokenize(
            texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="np"
        )
        ids, mask = (tokens[name].astype(np.int32) for name in ("input_ids", "attention_mask"))
        states = (await client.infer(self._model, {"input__0": ids, "input__1": mask}))["output__0"]
        means = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return means / np.linalg.norm(means, axis=1, keepdims=True)


def save(scratch: Path) -> Path:
    """Write the traced network to a file."""
    file = scratch / "encoder.pt"
    traced(find_source(NAME)).save(str(file))
    return file
