"""Clients of the server that a command talks to, or starts for itself.

The values of ``--api-key``, ``--api-key-file`` and ``--ca`` are kept in a context variable while
the command runs: :func:`add_access` adds these options to all commands that ask a server, and
:func:`open_client` applies them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from naiad.cli.options import ApiKey, ApiKeyFile, Ca
from naiad.console import errors
from naiad.errors import NaiadError, Unavailable

# naiad.client is imported inside the functions: every command imports this module.
if TYPE_CHECKING:
    from naiad.client import Client
    from naiad.client.access import Access

_URLS = {"url", "server"}
"""Parameters of commands that name a server."""
_PATIENCE = 10.0  # seconds to wait for the error of a server that is not ready


@dataclass(frozen=True, slots=True)
class _Given:
    """Credentials given on the command line."""

    api_key: str | None = field(default=None, repr=False)
    ca: Path | None = None


_NOTHING = _Given()
_given: ContextVar[_Given] = ContextVar("_given", default=_NOTHING)


def add_access(app: typer.Typer) -> None:
    """Give ``--api-key``, ``--api-key-file`` and ``--ca`` to all commands that ask a server."""
    for command in app.registered_commands:
        if (callback := command.callback) is None:
            continue
        names = inspect.signature(callback).parameters.keys()
        if _URLS & names and "api_key" not in names:
            command.callback = _with_access(callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            add_access(group.typer_instance)


def given_access() -> Access:
    """Return the credentials given to this command."""
    from naiad.client.access import Access

    given = _given.get()
    return Access(api_key=given.api_key, ca=given.ca)


def open_client(url: str, *, timeout: float = 60.0, retries: int | None = None) -> Client:
    """Return a client of the server at ``url`` that uses the given credentials."""
    from naiad.client import Client

    given = _given.get()
    return Client(url, timeout=timeout, retries=retries, api_key=given.api_key, ca=given.ca)


@contextmanager
def connected(
    application: str,
    url: str | None,
    *,
    timeout: float,
    weights: Path | None = None,
    model: str | None = None,
    local: bool = True,
    supervised: bool = False,
) -> Generator[Client]:
    """Yield a client of the server at ``url``; for None, start one that serves ``application``.

    Args:
        application: its name, as ``naiad serve`` takes it.
        url: of a running server, or None.
        timeout: seconds per request.
        weights: of a server that is started.
        model: must be ready on a running server.
        local: the command has the option ``--local``.
        supervised: restart a server that is started, whenever it dies.

    Raises:
        Unavailable: no server is ready; says how to start one.
        EngineError: Triton cannot run here.
    """
    from naiad.client import Client

    with ExitStack() as stack:
        if url is None:
            from naiad.triton.serving import serve

            with errors.status("starting Triton"):
                server = serve(
                    application,
                    weights=weights,
                    http_port=0,
                    grpc_port=0,
                    metrics_port=0,
                    health_port=0 if supervised else None,
                )
            stack.enter_context(server)
            yield stack.enter_context(Client(server.grpc_url, timeout=timeout))
            return
        client = stack.enter_context(open_client(url, timeout=timeout))
        if not client.ready(model):
            which = f"no server with the model {model}" if model else "no server"
            start = f"start one in another terminal with `naiad serve {application}`"
            alone = ", or add --local to start one for this command alone" if local else ""
            raise _not_ready(url, f"{which} is ready at {url}; {start}{alone}")
        yield client


def _not_ready(url: str, message: str) -> NaiadError:
    """Return the error of a server that is not ready; if it cannot be reached, ``message``.

    Starting another server does not help if this one refuses the client, or is not understood.
    """
    from naiad.client.transport import is_unreachable

    with open_client(url, timeout=_PATIENCE, retries=0) as client:
        try:
            client.metadata()
        except NaiadError as error:
            if not (isinstance(error, Unavailable) and is_unreachable(error)):
                return error
    return Unavailable(message)


def _with_access(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with the options of access."""

    @functools.wraps(command)
    def run(
        *args: Any, api_key: str | None, api_key_file: Path | None, ca: Path | None, **options: Any
    ) -> None:
        token = _given.set(_Given(_key(api_key, api_key_file), ca))
        try:
            command(*args, **options)
        finally:
            _given.reset(token)

    parameters = list(inspect.signature(command, eval_str=True).parameters.values())
    for name, kind in (("api_key", ApiKey), ("api_key_file", ApiKeyFile), ("ca", Ca)):
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        )
    run.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _key(key: str | None, file: Path | None) -> str | None:
    """Return the API key given by one of two options.

    Raises:
        BadParameter: both are given, or the file has no key.
    """
    if file is None:
        return key
    if key is not None:
        raise typer.BadParameter("give either --api-key or --api-key-file")
    return read_key("--api-key-file", file)


def read_key(option: str, file: Path) -> str:
    """Return the key in a file that an option names.

    Raises:
        BadParameter: the file has no key.
    """
    try:
        found = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{option} {file}: {error}") from None
    if not found:
        raise typer.BadParameter(f"{option} {file} is empty")
    return found
