"""An answer as people look at it: bars, figures, slices by the bases of its task, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import gradio as gr
from PIL import Image

from naiad.errors import NaiadError
from naiad.tasks.calls import Answer, TaskCall
from naiad.tasks.task import Column, Draws, Json, WritesFiles
from naiad.tasks.views import Plots, Scores, Volumes
from naiad.triton.past_requests import PastRequests
from naiad.ui.downloads import TABLES, Folder, write_files, write_table
from naiad.ui.events import QUICK, follow
from naiad.ui.forms import Question
from naiad.ui.messages import errors_shown, html_block, state
from naiad.ui.slices import Slices, make_slices
from naiad.ui.timing import Timing

_ROWS: Final = 500  # of a table on the page
_BARS: Final = 12
_GRID: Final = "rgba(128,128,128,0.25)"


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The answers to one question, kept for the page that shows them.

    Attributes:
        answers: of its units, without those that failed.
        options: of the question.
        folder: with the files to download.
    """

    answers: Sequence[Answer]
    options: Any
    folder: Folder


class AnswerView:
    """The components that show answers; those that the task has nothing for are left out."""

    def __init__(self, call: TaskCall, past: PastRequests) -> None:
        """Make the components in the current layout."""
        self._call, task = call, call.task
        self.kept = gr.State(None, time_to_live=1800)
        self.status = html_block(state(f"The answer appears here: ask about {task.unit}."))
        self.errors = html_block(visible=False)
        self.unit = gr.Dropdown(
            [], label=f"Shown of the {task.unit}", visible=False, interactive=True
        )
        self.bars = gr.Label(label="Scores", visible=False, num_top_classes=_BARS)
        self.plot = gr.Plot(visible=False, show_label=False)
        self.slices = gr.State(None, time_to_live=1800)
        self.slice = gr.Slider(1, 2, step=1, label="Slice", visible=False, interactive=True)
        self.image = html_block(visible=False)
        self.legend = html_block(visible=False)
        self.picture = gr.Image(
            visible=False,
            interactive=False,
            show_label=False,
            format="png",
            buttons=["fullscreen", "download"],
        )
        self.table = gr.Dataframe(
            visible=False, interactive=False, label="Table", wrap=False, max_height=420
        )
        with gr.Row(visible=False, elem_classes=["naiad-downloads"]) as self.saved:
            self.tables = [
                gr.DownloadButton(f"Table as {suffix[1:]}", size="sm", min_width=120)
                for suffix in TABLES
            ]
        self.files = gr.File(
            visible=False, label="Files of the answer", file_count="multiple", interactive=False
        )
        self.timing = Timing(past)
        self.unit.input(self.shown_unit, [self.kept, self.unit], self.of_unit, **QUICK)
        if isinstance(task, Volumes):
            follow(self.slice.change, self.shown_slice, [self.slices, self.slice], self.image)

    @property
    def of_unit(self) -> list[Any]:
        """The components that show one unit."""
        return [self.bars, self.plot, self.slices, self.slice, self.image, self.legend]

    @property
    def components(self) -> list[Any]:
        """All components that an answer changes, in order."""
        return [
            self.kept,
            self.status,
            self.errors,
            self.unit,
            *self.of_unit,
            self.picture,
            self.table,
            self.saved,
            *self.tables,
            self.files,
            *self.timing.components,
        ]

    def waiting(self, text: str) -> dict[Any, Any]:
        """Return the update that says how far a question has come."""
        return {self.status: _said(text)}

    def cleared(self, text: str) -> dict[Any, Any]:
        """Return the update that takes the last answer away."""
        hidden = {one: gr.update(visible=False) for one in self.components}
        hidden |= {self.kept: None, self.slices: None, self.status: _said(text)}
        return hidden | self._timed("")

    def failed(self, message: str) -> dict[Any, Any]:
        """Return the update for a question that could not be asked."""
        return self.cleared("No answer.") | {self.errors: errors_shown([message])}

    def answered(
        self, answers: Sequence[Answer], question: Question, seconds: float
    ) -> dict[Any, Any]:
        """Return the update that shows answers."""
        call, task, options = self._call, self._call.task, question.options
        good = [answer for answer in answers if answer.error is None]
        wrong = [
            question.without_folders(f"{one.name}: {call.message(one)}")
            for one in answers
            if one.error is not None
        ]
        update = self.cleared(_summary(task.unit, len(good), len(wrong), seconds))
        columns = call.columns(options)
        rows = [row for answer in good for row in call.rows(answer, options)]
        kept = Kept(good, options, Folder())
        folder = kept.folder.path
        update |= dict(zip(self.of_unit, self.shown_unit(kept, 0, wrong), strict=True))
        if good:
            update[self.kept] = kept
            update[self.table] = _table(columns, rows)
            update[self.saved] = gr.update(visible=True)
            for suffix, button in zip(TABLES, self.tables, strict=True):
                path = write_table(call, answers, options, rows, folder / f"{task.name}{suffix}")
                update[button] = gr.update(value=path, visible=path is not None)
        if len(good) > 1:
            choices = [(answer.name, number) for number, answer in enumerate(good)]
            shown = bool({Scores, Plots, Volumes} & set(type(task).__mro__))
            update[self.unit] = gr.update(choices=choices, value=0, visible=shown)
        if isinstance(task, Draws) and good:
            update[self.picture] = self._picture(good, wrong)
        if isinstance(task, WritesFiles) and good:
            written = write_files(call, good, options, folder)
            update[self.files] = gr.update(
                value=[*map(str, written)] or None, visible=bool(written)
            )
        update[self.errors] = errors_shown(wrong)
        return update | self._timed(question.request_id)

    def _timed(self, request: str) -> dict[Any, Any]:
        return dict(zip(self.timing.components, self.timing.asked(request), strict=True))

    def shown_unit(self, kept: Kept | None, number: int, wrong: list[str] | None = None) -> Any:
        """Return updates of the components that show one unit; say in ``wrong`` what failed."""
        hidden = gr.update(visible=False)
        bars = plot = slider = image = legend = hidden
        slices: Slices | None = None
        task = self._call.task
        if kept is not None and kept.answers:
            answer = kept.answers[number]
            try:
                if isinstance(task, Scores) and (scores := task.scores(answer.result)):
                    bars = gr.update(value=dict(scores), visible=True, label=_name(answer))
                if isinstance(task, Plots):
                    plot = gr.update(value=clear_background(task.plot(answer)), visible=True)
                if isinstance(task, Volumes) and (volume := task.volume(answer)) is not None:
                    slices = make_slices(volume)
                    slider = gr.update(maximum=slices.count, value=slices.start + 1, visible=True)
                    image = gr.update(value=slices.html(slices.start), visible=True)
                    legend = gr.update(value=slices.legend(), visible=bool(slices.legend()))
            except NaiadError as error:
                if wrong is not None:
                    wrong.append(str(error))
        return [bars, plot, slices, slider, image, legend]

    def shown_slice(self, slices: Slices | None, number: float) -> Any:
        """Return the picture of a slice, from 1, as HTML."""
        if slices is None:
            return gr.skip()
        return slices.html(min(max(int(number), 1), slices.count) - 1)

    def _picture(self, good: Sequence[Answer], wrong: list[str]) -> Any:
        try:
            drawn = self._call.picture(good)
        except NaiadError as error:
            wrong.append(str(error))
            return gr.update(visible=False)
        if drawn is None:
            return gr.update(visible=False)
        return gr.update(value=Image.open(BytesIO(drawn)), visible=True)


def _name(answer: Answer) -> str:
    return Path(answer.name).name if answer.path.name != "-" else answer.name


def _table(columns: Sequence[Column], rows: Sequence[Json]) -> Any:
    heads = [f"{one.name} ({one.unit})" if one.unit else one.name for one in columns]
    linked = [any(_is_link(row[column.name]) for row in rows[:_ROWS]) for column in columns]
    kinds = list(zip(columns, linked, strict=True))
    cells = [[_cell(row[column.name], html) for column, html in kinds] for row in rows[:_ROWS]]
    cut = f"Table: the first {_ROWS:,} of {len(rows):,} rows; files to download have all"
    return gr.update(
        value={"headers": heads, "data": cells},
        datatype=["html" if html else "str" for html in linked],
        label=cut if len(rows) > _ROWS else "Table",
        visible=True,
    )


def _is_link(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://"))


def _cell(value: Any, html: bool) -> str:
    """Return the text of a cell; ``html``: others of its column are links."""
    text = f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)
    if not html:
        return text
    shown = escape(text)
    if not _is_link(value):
        return shown
    return f'<a href="{shown}" target="_blank" rel="noopener noreferrer">{shown}</a>'


def clear_background(figure: Any) -> Any:
    """Take the background of a figure away, so that it is legible on a light and a dark page."""
    clear = "rgba(0,0,0,0)"
    figure.update_layout(template=None, paper_bgcolor=clear, plot_bgcolor=clear, autosize=True)
    lines = {"gridcolor": _GRID, "zerolinecolor": _GRID, "linecolor": _GRID, "automargin": True}
    figure.update_xaxes(**lines)
    figure.update_yaxes(**lines)
    return figure


def _summary(unit: str, good: int, wrong: int, seconds: float) -> str:
    failed = f"; {wrong:,} failed" if wrong else ""
    return f"{good:,} of the {unit} answered in {seconds:.2f} s{failed}."


def _said(text: str) -> Any:
    return gr.update(value=state(text), visible=True)
