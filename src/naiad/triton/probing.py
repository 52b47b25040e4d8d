"""End-to-end probes of a model: it is asked its example.

Triton's own report is not enough: a model whose process has died stays READY (seen in 2.51).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from naiad.client import Client
from naiad.core.schema import Arrays
from naiad.errors import DeadlineExceeded, EngineError, NaiadError, Unavailable
from naiad.triton.history import PROBE
from naiad.triton.prometheus import Sample

Verdict = Literal["answers", "busy", "refuses", "silent"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a probe.

    Attributes:
        verdict: ``answers``; ``busy``: it answered others but not this request in time;
            ``refuses``: it answered with an error, so its process is alive; ``silent``: no answer.
        reason: what was wrong, or "".
    """

    verdict: Verdict
    reason: str = ""

    @property
    def able(self) -> bool:
        """True if the model answers requests."""
        return self.verdict in ("answers", "busy")


def ask_examples(url: str, models: Iterable[str], examples: Mapping[str, Arrays]) -> None:
    """Ask the models at ``url`` that have an example to answer it.

    Raises:
        EngineError: a model does not answer; says which and why.
    """
    with Client(url, retries=3) as client:
        for model in models:
            if model in examples:
                try:
                    client.infer(model, examples[model], request_id=PROBE)
                except NaiadError as error:
                    raise EngineError(
                        f"{model} has loaded but does not answer its example: {error}"
                    ) from error


def probe(client: Client, model: str, arrays: Arrays | None, deadline: float) -> Finding:
    """Ask ``model`` to answer ``arrays`` within ``deadline`` seconds; never returns ``busy``.

    Without arrays only Triton is asked if the model is ready.
    """
    try:
        if arrays is not None:
            client.infer(model, arrays, request_id=PROBE, timeout=deadline)
        elif not client.ready(model, timeout=deadline):
            raise Unavailable("Triton says that it is not ready")
    except DeadlineExceeded:
        return Finding("silent", f"no answer to its example within {deadline:g} s")
    except Unavailable as error:
        # Triton calls a process "not healthy" that is alive but stuck.
        silent = "is not healthy" in str(error) or not client.ready(timeout=deadline)
        return Finding("silent" if silent else "refuses", str(error))
    except NaiadError as error:
        return Finding("refuses", str(error))
    return Finding("answers")


def answered(samples: Iterable[Sample]) -> Mapping[str, float]:
    """Return the number of requests that each model answered without error, by ``/metrics``.

    For Naiad's models their own metrics count: Triton counts requests once they are accepted.
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
