"""Start-up of a process that runs a pipeline's hooks."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from naiad.core.budget import Budget
from naiad.core.pipeline import Pipeline, load_pipeline, make_pipeline
from naiad.error_text import described
from naiad.errors import NaiadError, PipelineError
from naiad.networks import threads
from naiad.networks.torch_networks import follow_threads
from naiad.runtime.mixing import settle
from naiad.runtime.runner import Runner
from naiad.runtime.spec import Spec

T = TypeVar("T")
_log = logging.getLogger(__name__)


def load(spec: Spec, kind: type[Pipeline] | None = None) -> Runner:
    """Load the pipeline, or ``kind``, and its model in this process; run its example once.

    The first forward of a process is slow (allocations, lazy initialisation), so it should not be
    a client's request.
    """
    kind = kind or load_pipeline(spec.pipeline)
    threads.use(spec.threads)
    if kind.arrays == "torch":
        follow_threads()
    weights = Path(spec.weights) if spec.weights else None
    pipeline = make_pipeline(kind, weights, spec.settings, spec.runtime)
    budget = None if spec.budget is None else Budget(**spec.budget)
    runner = Runner(pipeline, spec.device, budget=budget)
    if wrong := settle(runner):
        _log.warning("%s", wrong)
    return runner


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux ``prctl``)."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _no_breakpoint(*_: object, **__: object) -> None:
    raise RuntimeError(
        "breakpoint() needs a terminal, which a server's worker does not have; run `naiad debug "
        "my_model.py:MyModel`"
    )


def begin(parent: int) -> None:
    """Set up a worker process that ends with its ``parent``."""
    _die_with_parent()
    if os.getppid() != parent:
        sys.exit(0)
    # Ctrl-C is for the server, which drains; workers end when their socket closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.breakpointhook = _no_breakpoint
    sys.path.append(str(Path.cwd()))  # after the installed packages; see PYTHONSAFEPATH
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")


def loaded(load: Callable[[], T], fail: Callable[[NaiadError], None]) -> T | None:
    """Return the result of ``load``, ready to serve; call ``fail`` and return None if it raises."""
    try:
        made = load()
    except BaseException as error:
        ours = isinstance(error, NaiadError)
        if not ours or error.__cause__ is not None:
            with contextlib.suppress(BaseException):  # writing a traceback runs the error's code
                _log.exception("the model could not be loaded")
        fail(error if ours else PipelineError(f"setup() raised {described(error)}"))
        return None
    # torch leaves half a million objects for every full collection to visit: 260 ms each time.
    gc.collect()
    gc.freeze()
    return made
