"""The last requests of the server, in the overview: a click on one tells where its time went."""

from __future__ import annotations

from typing import Any, Final

import gradio as gr

from naiad.errors import NaiadError
from naiad.triton.history import PastRequest
from naiad.triton.past_requests import PastRequests, clock, milliseconds, sizes_of
from naiad.ui.events import QUICK
from naiad.ui.messages import html_block, state
from naiad.ui.timing import timing

_LISTED: Final = 15
_TALLEST: Final = 700  # pixels, for all that are listed
_HEADS: Final = ("request", "id", "model", "arrived", "took", "others in its batch", "size")


class RecentRequests:
    """A table of the last requests, the newest first, and the one that was chosen."""

    def __init__(self, past: PastRequests, secured: bool) -> None:
        """Make the components in the current layout.

        Args:
            past: the requests.
            secured: others than the server's owner see the page: requests' ids are left out, as
                they are of whoever sent them.
        """
        self._past, self._secured = past, secured
        gr.Markdown("**The last requests**: choose one to see where its time went")
        self.note = html_block(visible=False)
        self.table = gr.Dataframe(
            headers=list(self._heads),
            interactive=False,
            show_label=False,
            wrap=False,
            max_height=_TALLEST,
        )
        self.chosen = html_block(visible=False)
        self.table.select(self._choose, None, self.chosen, **QUICK)

    @property
    def components(self) -> list[Any]:
        """The components that :meth:`update` changes, in order."""
        return [self.note, self.table]

    def update(self) -> list[Any]:
        """Return updates with the requests that are the last now, or with why they are unknown."""
        try:
            found = self._past.last(_LISTED)
        except NaiadError as error:
            said = state(f"The last requests are not known here: {error}.")
            return [gr.update(value=said, visible=True), gr.update(visible=False)]
        rows = [self._row(one) for one in reversed(found.requests)]
        shown = {"headers": list(self._heads), "data": rows}
        return [gr.update(visible=False), gr.update(value=shown, visible=True)]

    def _choose(self, event: gr.SelectData) -> Any:
        number = event.row_value[0]
        return gr.update(value=timing(self._past, number, named=not self._secured), visible=True)

    @property
    def _heads(self) -> tuple[str, ...]:
        return _HEADS if not self._secured else tuple(one for one in _HEADS if one != "id")

    def _row(self, one: PastRequest) -> list[str]:
        return [
            f"#{one.number}",
            *([] if self._secured else [one.id]),
            f"{one.model} {one.version}",
            clock(one.arrived)[11:23],
            milliseconds(one.seconds),
            str(one.batch.requests - 1) if one.batch else "",
            one.error or sizes_of(one),
        ]
