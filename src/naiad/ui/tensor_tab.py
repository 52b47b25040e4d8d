"""The tab of a model without a task: its tensors as JSON or a file, by its metadata."""

from __future__ import annotations

import time
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from naiad.client import Client
from naiad.errors import NaiadError
from naiad.triton.past_requests import PastRequests
from naiad.ui.cards import build_card
from naiad.ui.downloads import Folder, write_npz
from naiad.ui.events import QUICK
from naiad.ui.messages import errors_shown, html_block, notice, state
from naiad.ui.tensors import (
    as_json,
    example_tensors,
    from_json,
    from_npz,
    output_arrays,
    output_rows,
)
from naiad.ui.timing import Timing, new_request_id

_OUTPUTS = ["output", "dtype", "shape", "values"]


def build_tensor_tab(model: str, client: Client, past: PastRequests) -> None:
    """Make the contents of a tab in the current layout.

    Raises:
        NaiadError: the model's metadata cannot be fetched.
    """
    metadata = client.metadata(model)
    said = client.model(model).notice()
    gr.Markdown(f"### Send tensors to {model}")
    html_block(notice(said), visible=bool(said))
    html_block(_schema(metadata))
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            text = gr.Textbox(
                as_json(example_tensors(metadata)),
                label="Tensors as JSON",
                info="Nested lists by input; or choose a file below.",
                lines=10,
                max_lines=10,
                max_length=2_000_000,
            )
            file = gr.File(
                label="Tensors as a file (.npz)",
                file_types=[".npz"],
                type="filepath",
                height=130,
            )
            button = gr.Button("Ask", variant="primary", elem_id=f"ask-{model}")
        with gr.Column(scale=3, min_width=300, elem_id=f"answer-{model}"):
            status = html_block(state("The answer appears here: the tensors above are an example."))
            errors = html_block(visible=False)
            table = gr.Dataframe(
                headers=_OUTPUTS, visible=False, interactive=False, label="Outputs", wrap=True
            )
            saved = gr.DownloadButton("Outputs as npz", size="sm", visible=False)
            kept = gr.State(None, time_to_live=1800)
            timing = Timing(past)
    build_card(client.model(model))

    def run(text: str, path: str | None) -> Any:
        began, request = time.monotonic(), ""
        try:
            tensors = from_npz(Path(path)) if path else from_json(text, metadata)
            request = new_request_id()
            outputs = client.infer(model, tensors, request_id=request)
        except NaiadError as error:
            hidden = gr.update(visible=False)
            return [
                state("No answer."),
                errors_shown([str(error)]),
                hidden,
                hidden,
                None,
                *timing.asked(request),
            ]
        seconds = time.monotonic() - began
        folder = Folder()
        written = folder.path / f"{model}.npz"
        write_npz(written, output_arrays(outputs))
        return [
            state(f"Answered in {seconds:.2f} s."),
            errors_shown([]),
            gr.update(value=output_rows(outputs), visible=True),
            gr.update(value=written, visible=True),
            folder,
            *timing.asked(request),
        ]

    button.click(timing.cleared, None, timing.told, **QUICK)
    button.click(
        run,
        [text, file],
        [status, errors, table, saved, kept, *timing.components],
        **QUICK,
    )


def _schema(metadata: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{way}</td><td>{escape(one['name'])}</td><td>{escape(one['datatype'])}</td>"
        f"<td>{' × '.join('any' if int(s) < 0 else str(s) for s in one['shape'])}</td></tr>"
        for way in ("input", "output")
        for one in metadata[f"{way}s"]
    )
    return (
        '<table class="naiad-schema"><thead><tr><th></th><th>name</th><th>type</th>'
        f"<th>shape</th></tr></thead><tbody>{rows}</tbody></table>"
    )
