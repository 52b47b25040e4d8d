"""The tab with an overview of the server: its models, and the last 15 minutes of their metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, cast

import gradio as gr

from naiad.client.transport import ModelInfo
from naiad.errors import NaiadError
from naiad.figures import graph_objects, lay_out
from naiad.triton.past_requests import PastRequests
from naiad.ui.answers import clear_background
from naiad.ui.events import QUICK
from naiad.ui.history import EVERY, KEPT, History, Moment, quantile, rates
from naiad.ui.messages import errors_shown, html_block
from naiad.ui.recent import RecentRequests
from naiad.ui.snippets import LANGUAGES, snippets
from naiad.ui.surface import Surface

_RECENT: Final = 20  # samples that a number in the table is of: a minute
_SMOOTH: Final = 4  # samples that a point of a curve is of
_TICK: Final = 6.0  # seconds between two updates of the page
_HEIGHT: Final = 260  # pixels of a plot
_TALLEST: Final = 1200  # pixels of the table: its scroll bar would cover the last column
_HEADS: Final = (
    *("model", "version", "state", "requests/s", "p50", "p99", "mean"),
    *("errors/s", "batch", "in queue", "workers", "restarts"),
)
_COLOURS: Final = (
    *("#3d8fd1", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#8a63d2"),
    *("#56b4e9", "#a6761d", "#8d949c", "#b8a800"),
)

Series = Mapping[str, Sequence[float | None]]


def build_overview(surface: Surface, history: History, past: PastRequests, tab: Any) -> Any:
    """Make the tab's contents in the current layout; return the timer that updates it."""
    errors = html_block(visible=False)
    table = gr.Dataframe(
        headers=list(_HEADS),
        interactive=False,
        label="Models, over the last minute",
        wrap=False,
        max_height=_TALLEST,
    )
    memory = html_block()
    models = [""]
    with suppress(NaiadError):
        models = list(surface.tasks.models())
    plots: list[Any] = []
    with gr.Row():
        for title in ("Requests per second", "Latency (ms), dotted: 99 % of requests"):
            with gr.Column(min_width=320):
                plots.append(_titled(title))
    chosen = gr.Dropdown(
        ["all", *models], value="all", label="Stages and batches of", interactive=True
    )
    with gr.Row():
        for title in ("Requests in each stage", "Mean batch by dimension"):
            with gr.Column(min_width=320):
                plots.append(_titled(title))
    recent = RecentRequests(past, surface.secured)
    _snippets(surface, models)
    looked = [errors, table, memory, *plots, *recent.components]

    def update(model: str = "all") -> list[Any]:
        try:
            known = surface.tasks.client.models()
        except NaiadError as error:
            return [errors_shown([str(error)]), *[gr.skip()] * (len(looked) - 1)]
        moments = history.moments()
        names = [one.name for one in known]
        return [
            errors_shown([]),
            {"headers": list(_HEADS), "data": [_row(one, surface, moments) for one in known]},
            _memory(moments),
            _figure(moments, _requests(moments, names), "requests/s"),
            _figure(moments, _latency(moments, names), "ms", paired=True),
            _figure(moments, _stages(moments, model), "requests", stacked=True),
            _figure(moments, _batches(moments, model), "per batch", log=True),
            *recent.update(),
        ]

    chosen.change(update, chosen, looked, **QUICK)
    timer = gr.Timer(_TICK, active=False)
    timer.tick(update, chosen, looked, **QUICK)

    def select(model: str) -> list[Any]:
        return [*update(model), gr.Timer(active=True)]

    tab.select(select, chosen, [*looked, timer], **QUICK)
    return timer


def _titled(title: str) -> Any:
    gr.Markdown(f"**{title}**")
    return gr.Plot(show_label=False)


def _snippets(surface: Surface, models: Sequence[str]) -> None:
    """Make the button that shows how to call a model from elsewhere."""
    with gr.Row(equal_height=False):
        model = gr.Dropdown(
            list(models), value=models[0], label="Call a model", min_width=200, interactive=True
        )
        button = gr.Button("Show how to call it", elem_id="snippets", scale=0, min_width=220)
    with gr.Row(visible=False) as row:
        codes = [
            gr.Code(label=title, language=cast("Any", known), interactive=False, min_width=320)
            for title, known in LANGUAGES.items()
        ]
    errors = html_block(visible=False)

    def show(name: str, request: gr.Request) -> list[Any]:
        try:
            texts = snippets(surface, name, _own(request))
        except NaiadError as error:
            return [gr.update(visible=False), errors_shown([str(error)]), *[gr.skip()] * len(codes)]
        return [gr.update(visible=True), errors_shown([]), *texts.values()]

    button.click(show, model, [row, errors, *codes], **QUICK)


def _own(request: gr.Request) -> str:
    """Return the application's address as the browser has it."""
    headers = request.headers
    scheme = headers.get("x-forwarded-proto", "http")
    return f"{scheme}://{headers.get('host', 'localhost:7860')}"


def _row(one: ModelInfo, surface: Surface, moments: Sequence[Moment]) -> list[str]:
    name = one.name
    shown = [name, one.version, one.state + (f": {one.reason}" if one.reason else "")]
    if len(moments) < 2:
        return [*shown, *["–"] * (len(_HEADS) - len(shown))]
    after, before = moments[-1], moments[-min(_RECENT, len(moments))]
    seconds = max(after.time - before.time, 1e-6)

    def grown(metric: str, **labels: str) -> float:
        return max(
            0.0,
            after.total(metric, model=name, **labels) - before.total(metric, model=name, **labels),
        )

    requests = grown("naiad_requests_total")
    spent, batches = grown("naiad_stage_seconds_sum"), grown("naiad_batches_total")
    return [
        *shown,
        f"{requests / seconds:.1f}",
        *(_milliseconds(quantile(before, after, share, name)) for share in (0.5, 0.99)),
        _milliseconds(spent / requests if requests else None),
        f"{grown('naiad_errors_total') / seconds:.1f}",
        f"{requests / batches:.1f}" if batches else "–",
        f"{after.total('nv_inference_pending_request_count', model=name):.0f}",
        str(_workers(name, surface)),
        f"{after.total('naiad_worker_restarts_total', model=name):.0f}",
    ]


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.3g} ms"


def _workers(model: str, surface: Surface) -> int | str:
    try:
        groups = surface.tasks.client.config(model).get("instance_group", [])
    except NaiadError:
        return "–"
    return sum(int(group.get("count", 1)) for group in groups) or "–"


def _memory(moments: Sequence[Moment]) -> str:
    """Return the memory in use, as HTML."""
    if not moments:
        return ""
    last, parts = moments[-1], list[str]()
    for kind, title in (("cpu", "memory of the host"), ("gpu", "memory of GPUs")):
        used, total = (last.total(f"nv_{kind}_memory_{what}_bytes") for what in ("used", "total"))
        if total:
            parts.append(f"{title}: {used / 2**30:.1f} of {total / 2**30:.1f} GiB in use")
    return f'<p class="naiad-status">{"; ".join(parts)}</p>' if parts else ""


def _requests(moments: Sequence[Moment], models: Sequence[str]) -> Series:
    return {
        name: rates(moments, lambda m, n=name: m.total("naiad_requests_total", model=n), _SMOOTH)
        for name in models
    }


def _latency(moments: Sequence[Moment], models: Sequence[str]) -> Series:
    """Return p50 and p99 of each model that was asked; its mean where these are not known."""
    found: dict[str, list[float | None]] = {}
    for name in models:
        for share, title in ((0.5, "p50"), (0.99, "p99")):
            values: list[float | None] = [None] * min(_SMOOTH, len(moments))
            for place in range(_SMOOTH, len(moments)):
                value = quantile(moments[place - _SMOOTH], moments[place], share, name)
                values.append(None if value is None else 1000 * value)
            found[f"{name} {title}"] = values
        if not any(v is not None for t in ("p50", "p99") for v in found[f"{name} {t}"]):
            found[f"{name} mean"] = _ratio(
                moments,
                lambda m, n=name: 1000 * m.total("naiad_stage_seconds_sum", model=n),
                lambda m, n=name: m.total("naiad_requests_total", model=n),
            )
    return {name: values for name, values in found.items() if any(v is not None for v in values)}


def _stages(moments: Sequence[Moment], model: str) -> Series:
    labels = {} if model == "all" else {"model": model}
    name = "naiad_stage_seconds_sum"
    stages = list(moments[-1].by(name, "stage", **labels)) if moments else []
    order = ("queue", "prepare", "collate", "forward", "split", "finish")
    stages.sort(key=lambda stage: order.index(stage) if stage in order else len(order))
    return {
        stage: rates(moments, lambda m, s=stage: m.total(name, stage=s, **labels), _SMOOTH)
        for stage in stages
    }


def _batches(moments: Sequence[Moment], model: str) -> Series:
    labels = {} if model == "all" else {"model": model}
    name = "naiad_batch_items_sum"
    known = moments[-1].by(name, "dimension", **labels) if moments else {}
    # Dimensions of different models have nothing in common but the number of requests.
    dimensions = sorted(known) if labels else [one for one in known if one == "requests"]
    return {
        one: _ratio(
            moments,
            lambda m, d=one: m.total(name, dimension=d, **labels),
            lambda m: m.total("naiad_batches_total", **labels),
        )
        for one in dimensions
    }


def _ratio(
    moments: Sequence[Moment], top: Callable[[Moment], float], bottom: Callable[[Moment], float]
) -> list[float | None]:
    pairs = zip(rates(moments, top, _SMOOTH), rates(moments, bottom, _SMOOTH), strict=True)
    return [a / b if a is not None and b else None for a, b in pairs]


def _figure(
    moments: Sequence[Moment],
    series: Series,
    unit: str,
    *,
    stacked: bool = False,
    log: bool = False,
    paired: bool = False,
) -> Any:
    """Return curves; ``paired``: names end with a kind, and those that begin alike look alike."""
    figure: Any = graph_objects.Figure()
    times = [datetime.fromtimestamp(moment.time) for moment in moments]
    colours: dict[str, str] = {}
    for name, values in series.items():
        group, kind = name.rsplit(" ", 1) if paired else (name, "")
        first = group not in colours
        colour = colours.setdefault(group, _COLOURS[len(colours) % len(_COLOURS)])
        figure.add_trace(
            graph_objects.Scatter(
                x=times,
                y=values,
                name=group,
                legendgroup=group,
                showlegend=first,
                mode="lines",
                line={
                    "width": 0.5 if stacked else 2,
                    "color": colour,
                    "dash": "dot" if kind == "p99" else "solid",
                },
                stackgroup="all" if stacked else None,
                hovertemplate=f"{name} %{{y:.3g}}<extra></extra>",
            )
        )
    last = moments[-1].time if moments else 0.0
    span = [datetime.fromtimestamp(last - KEPT), datetime.fromtimestamp(last + EVERY)]
    height = _HEIGHT + 16 * max(0, len(colours) - 3)  # a legend may have a line for each
    lay_out(figure, height, legend=-0.2, hover="x unified")
    figure.update_layout(legend_font_size=11, uirevision="overview", showlegend=True)
    clear_background(figure)
    figure.update_xaxes(range=span, tickformat="%H:%M")
    figure.update_yaxes(
        title_text=unit, rangemode="tozero", type="log" if log else "linear", title_standoff=6
    )
    return figure
