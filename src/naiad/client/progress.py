"""A progress bar on standard error."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from operator import length_hint


@contextmanager
def progress_bar(
    show: bool, label: str, items: object
) -> Generator[Callable[[], None], None, None]:
    """Give a function to be called once per piece of work done; it does nothing unless ``show``.

    The total is the length of ``items``, where it has one.
    """
    if not show:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=length_hint(items) or None)
        yield lambda: progress.advance(task)
