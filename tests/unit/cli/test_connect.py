"""Commands that ask a server: what they show to it, and what they say where it cannot be asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
import typer
from tests.support.command import subcommands
from tests.support.ports import free_port
from tests.unit.client.servers import grpc_server
from typer.testing import CliRunner

from naiad.cli.connect import add_access, connected, given_access, open_client
from naiad.cli.main import app
from naiad.errors import InvalidInput, NotAllowed, Unavailable

ACCESS = {"--api-key", "--api-key-file", "--ca"}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAIAD_API_KEY", raising=False)
    monkeypatch.delenv("NAIAD_CA", raising=False)


def options() -> Iterator[tuple[str, set[str]]]:
    """Each command of ``naiad`` with its options."""

    def below(command: Any, path: str) -> Iterator[tuple[str, set[str]]]:
        found = subcommands(command)
        if not found:
            yield path, {name for parameter in command.params for name in parameter.opts}
        for name, one in found.items():
            yield from below(one, f"{path} {name}")

    return below(typer.main.get_command(app), "naiad")


def test_the_commands_that_ask_a_server_and_no_others_have_the_options_of_access() -> None:
    found = dict(options())
    asking = {path for path, names in found.items() if names & {"--url", "--server"}}
    assert {path for path, names in found.items() if names & ACCESS} == asking
    assert all(found[path] >= ACCESS for path in asking)
    few = {"naiad models", "naiad load", "naiad bench", "naiad infer gat", "naiad process nugraph3"}
    assert few | {"naiad movies embed", "naiad products recommend", "naiad config"} <= asking


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return click.unstyle(result.output)


def test_a_key_may_be_an_option_a_file_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text("of-the-file\n")
    monkeypatch.setenv("NAIAD_API_KEY", "of-the-environment")
    with grpc_server() as (address, server):
        for given, sent in [
            ((), "of-the-environment"),
            (("--api-key", "of-the-option"), "of-the-option"),
            (("--api-key-file", file), "of-the-file"),
        ]:
            run("config", "half", "--url", address, *given)
            assert server.headers["x-api-key"] == sent
    assert given_access().api_key is None  # it is kept for one command only


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ("key", ("--api-key", "key"), "give either --api-key or"),
        (" \n", (), "is empty"),
        (None, (), "No such file"),
    ],
)
def test_a_file_without_one_key_is_refused(
    tmp_path: Path, content: str | None, more: tuple[str, ...], message: str
) -> None:
    file = tmp_path / "k"
    if content is not None:
        file.write_text(content)
    said = run("config", "half", "--api-key-file", file, *more, code=2)
    assert message in " ".join(said.replace("│", " ").split())


def test_a_key_goes_nowhere_unencrypted() -> None:
    with pytest.raises(InvalidInput, match="use grpcs://gpu1:8001"):
        CliRunner().invoke(
            app,
            ["models", "--url", "gpu1:8001", "--api-key", "key"],
            catch_exceptions=False,
        )


def test_the_commands_of_an_application_of_the_users_have_them_too() -> None:
    own = typer.Typer()
    group = typer.Typer(name="mine")
    own.add_typer(group)

    @group.command()
    def ask(url: str = "localhost:8001") -> None:
        with open_client(url) as client:
            typer.echo(client.config("half")["name"])

    @group.command()
    def think() -> None:
        pass

    add_access(own)
    with grpc_server() as (address, server):
        done = CliRunner().invoke(own, ["mine", "ask", "--url", address, "--api-key", "mine"])
        assert done.output == "half\n"
        assert server.headers["x-api-key"] == "mine"
    assert CliRunner().invoke(own, ["mine", "think", "--api-key", "mine"]).exit_code == 2


def test_where_no_server_is_it_is_said_how_to_start_one() -> None:
    url = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable) as raised, connected("gat", url, timeout=60.0):
        pass
    assert str(raised.value) == (
        f"no server is ready at {url}; start one in another terminal with `naiad serve gat`, or "
        "add --local to start one for this command alone"
    )
    with grpc_server() as (url, server):
        server.ready = False
        with (
            pytest.raises(Unavailable, match=r"model gat is ready at .*`naiad serve gat`$"),
            connected("gat", url, timeout=60.0, model="gat", local=False),
        ):
            pass


class Guarded(grpc.ServerInterceptor):
    """Refuses everybody."""

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        def refuse(request: Any, context: grpc.ServicerContext) -> Any:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

        return grpc.unary_unary_rpc_method_handler(refuse)


def test_a_server_that_refuses_is_not_taken_for_none() -> None:
    with (
        grpc_server(interceptors=[Guarded()]) as (url, _),
        pytest.raises(NotAllowed, match=r"wants an API key.*who are you\?"),
        connected("gat", url, timeout=60.0),
    ):
        pass
