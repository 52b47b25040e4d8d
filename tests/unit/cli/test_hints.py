"""Every command that Naiad proposes, in messages and in its help, exists and is typed right."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.support.hints import SOURCE, examples, proposed

from naiad.cli.main import app

# Values in the source's texts: the first is a name that commands are made of.
_NAMED = {"infer": "gat", "process": "gat", "simulate": "gat", "train": "gat", "watch": "covid_ct"}

HINTS = dict.fromkeys(one for one in proposed() if "<" not in one[1])  # markup is no command
HELP = dict.fromkeys(examples(typer.main.get_command(app)))


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the files that commands are about where they are typed."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(SOURCE / "cli" / "templates" / "my_model.py", tmp_path)
    for name in ("request.npz", "best.pt"):
        (tmp_path / name).touch()


def parse(text: str) -> None:
    """Parse a command as it is typed; one without any argument is only looked up."""
    words = shlex.split(text, comments=True)
    if len(words) > 1 and words[0] in _NAMED and words[1].strip("X") == "":
        words[1] = _NAMED[words[0]]
    command: Any = typer.main.get_command(app)
    while hasattr(command, "get_command") and words:
        name, *words = words
        command = command.get_command(None, name)
        assert command is not None, f"no command {name}"
    if words:
        try:
            command.make_context(command.name, [*words])
        except typer.Exit as end:  # of an option that is a command by itself, such as --list
            if end.exit_code:
                raise


@pytest.mark.parametrize(("place", "command"), HINTS)
def test_a_command_that_a_message_proposes_is_one(place: str, command: str):
    parse(command)


@pytest.mark.parametrize(("place", "command"), HELP)
def test_an_example_in_the_help_can_be_typed(place: str, command: str):
    parse(command)


def test_messages_and_help_are_looked_through():
    assert ("cli/verbs.py", "serve X --weights X") in {
        (place.partition(":")[0], command) for place, command in HINTS
    }
    assert ("serve", "serve nugraph3 --instances 2") in HELP
