"""Whether a model answers, found out end to end: by asking it.

Triton's own word is no evidence: a model whose process has died stays READY (seen in 2.51).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from naiad.client import Client
from naiad.core.schema import Arrays
from naiad.errors import DeadlineExceeded, EngineError, NaiadError, Unavailable
from naiad.triton.prometheus import Sample

Verdict = Literal["answers", "busy", "refuses", "silent"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found.

    Attributes:
        verdict: ``answers``; ``busy``: not this request in time, but others meanwhile;
            ``refuses``: with an error, so that its process is alive; ``silent``: nothing at all.
        reason: what was wrong, or "".
    """

    verdict: Verdict
    reason: str = ""

    @property
    def able(self) -> bool:
        """Whether the model answers requests."""
        return self.verdict in ("answers", "busy")


def ask_examples(url: str, models: Iterable[str], examples: Mapping[str, Arrays]) -> None:
    """Have the models at ``url`` answer their examples, those that have one.

    Raises:
        EngineError: one does not; says which and why.
    """
    with Client(url, retries=3) as client:
        for model in models:
            if model in examples:
                try:
                    client.infer(model, examples[model])
                except NaiadError as error:
                    raise EngineError(
                        f"{model} has loaded and does not answer its example: {error}"
                    ) from error


def probe(client: Client, model: str, arrays: Arrays | None, deadline: float) -> Finding:
    """Ask ``model`` to answer ``arrays`` within ``deadline`` seconds; does not find ``busy``.

    Without arrays Triton is asked whether the model is ready, which is less.
    """
    try:
        if arrays is not None:
            client.infer(model, arrays, timeout=deadline)
        elif not client.ready(model, timeout=deadline):
            raise Unavailable("Triton says that it is not ready")
    except DeadlineExceeded:
        return Finding("silent", f"no answer to its example within {deadline:g} s")
    except Unavailable as error:
        # A process that is alive and does not move is "not healthy" to Triton.
        silent = "is not healthy" in str(error) or not client.ready(timeout=deadline)
        return Finding("silent" if silent else "refuses", str(error))
    except NaiadError as error:
        return Finding("refuses", str(error))
    return Finding("answers")


def answered(samples: Iterable[Sample]) -> Mapping[str, float]:
    """How many requests each model has answered without error, by Triton's ``/metrics``.

    Triton counts what Naiad's models have only taken on as answered, so for those it is not asked.
    """
    own: dict[str, float] = {}
    tritons: dict[str, float] = {}
    for sample in samples:
        model = sample.labels.get("model", "")
        if sample.name == "naiad_requests_total":
            own[model] = own.get(model, 0.0) + sample.value
        elif sample.name == "naiad_errors_total":
            own[model] = own.get(model, 0.0) - sample.value
        elif sample.name == "nv_inference_request_success":
            tritons[model] = tritons.get(model, 0.0) + sample.value
    return tritons | own
