"""``naiad ui``: the page and the tasks over HTTP, for a server that runs elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from naiad.cli.connect import given_access, open_client
from naiad.cli.options import Health, Url
from naiad.console import output


def ui(
    url: Url = "localhost:8001",
    port: Annotated[int, typer.Option(help="Port on loopback.", min=1, max=65535)] = 7860,
    max_upload_mb: Annotated[
        int, typer.Option(metavar="MB", help="Maximum size of a request with files.", min=1)
    ] = 256,
    health: Health = None,
) -> None:
    """Serve a page in the browser, and tasks over HTTP, for a running server.

    Only this host can open it: http://localhost:7860/ui. `naiad serve --ui` does the same beside a
    server that it starts; behind its gate others can open it, too.

    [bold]Examples[/]

      naiad ui
      naiad ui --url grpcs://gpu.example.org:8443 --api-key-file key.txt
    """
    from naiad.client.address import Address
    from naiad.errors import EngineError
    from naiad.server_card import url_of
    from naiad.triton.ports import in_use, is_free
    from naiad.triton.ui_process import check_ui
    from naiad.ui.guard import LOOPBACK
    from naiad.ui.process import Order, run

    check_ui()
    with open_client(url, timeout=10.0) as client:
        client.metadata()  # raises what is wrong with the URL or the credentials
    if not is_free("127.0.0.1", port):
        raise EngineError(in_use("page", port))
    http_url = url if url.startswith("http") else url_of(Address.parse(url).place, "HTTP") or ""
    order = Order(
        url=url,
        http_url=http_url,
        hosts=tuple(LOOPBACK),
        max_bytes=max_upload_mb * 1_000_000,
        health=health,
        port=port,
    )

    def say() -> None:
        output.print(f"http://localhost:{port}/ui, for {url}\nCtrl-C stops it", highlight=False)

    run(order, given_access(), listening=say)
