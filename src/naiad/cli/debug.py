"""``naiad debug``: a pipeline's hooks in this process, with breakpoints."""

from __future__ import annotations

import faulthandler
import time
from bdb import BdbQuit
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from naiad.console import complain, output, say, shortened
from naiad.core.fields import like
from naiad.core.settings import ModelSettings
from naiad.error_text import described
from naiad.errors import NaiadError
from naiad.tracebacks import traceback_of

if TYPE_CHECKING:
    from naiad.core.pipeline import Pipeline
    from naiad.core.schema import Array, Arrays
    from naiad.runtime.runner import Runner

_VALUES = 6  # of an output that are printed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """The model, as it is served."""

    device: str = like(ModelSettings, "device")
    weights: Path | None = like(ModelSettings, "weights")
    example: Path | None = like(ModelSettings, "example")
    settings: Mapping[str, Any] | None = like(ModelSettings, "settings")


def debug(
    pipeline: Annotated[
        str,
        typer.Argument(help="A built-in name, or my_model.py:MyModel.", show_default=False),
    ],
    requests: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="REQUEST.npz",
            help="Files with the arrays of one request each, by input name, as numpy.savez writes "
            "them; by default the pipeline's example.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    *,
    model: _Model,
) -> None:
    """Run a pipeline's hooks in this process, where breakpoint() opens the debugger.

    Print each output's dtype, shape and first values, and the time of each hook.

    [bold]Examples[/]

      naiad debug my_model.py:MyModel
      naiad debug my_model.py:MyModel request.npz --weights best.pt --set threshold=0.7
      naiad debug net.py:Net --example graph.pt
    """
    from naiad.core.pipeline import make_pipeline, spec_with_weights
    from naiad.runtime.runner import Runner
    from naiad.triton.repository import class_of

    weights, settings = model.weights, model.settings
    faulthandler.enable(2)
    try:
        if model.example is None:
            pipeline, weights = spec_with_weights(pipeline, weights)
        given = ModelSettings(example=model.example, settings=settings, weights=weights)
        kind = class_of(pipeline, given)
        made = make_pipeline(kind, weights, None if model.example else settings)
        began = time.perf_counter()
        runner = Runner(made, model.device)
        say(f"setup {_milliseconds(time.perf_counter() - began)}")
        for name, arrays in _requests(made, requests or []):
            _run(runner, name, arrays)
    except BdbQuit:
        raise typer.Exit(1) from None
    except (NaiadError, typer.Exit, KeyboardInterrupt):
        raise
    except BaseException as error:  # a hook may call sys.exit()
        complain(traceback_of(error) or described(error))
        raise typer.Exit(1) from None


def _requests(pipeline: Pipeline, files: list[Path]) -> Iterator[tuple[str, Arrays]]:
    from naiad.files import read_npz

    if not files:
        yield "the example", pipeline.example()
    for path in files:
        yield str(path), read_npz(path)


def _run(runner: Runner, name: str, arrays: Arrays) -> None:
    from naiad.runtime.runner import STAGES
    from naiad.runtime.trial import attempt

    outputs, report = attempt(runner, arrays)
    times = ", ".join(f"{stage} {_milliseconds(report.seconds[stage])}" for stage in STAGES)
    say(f"\n{name}: {times}")
    table = Table("output", "dtype", "shape", "values")
    for key, array in outputs.items():
        table.add_row(key, str(array.dtype), str([*array.shape]), _values(array))
    output.print(table)


def _values(array: Array) -> str:
    import numpy as np

    first = array.ravel()[:_VALUES]
    text = " ".join(map(str, np.round(first, 4) if first.dtype.kind == "f" else first))
    return shortened(text + (" …" if array.size > _VALUES else ""))


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.1f} ms"
