"""The commands of ``naiad``; ``naiad serve`` as a process, and its output."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.forks import naiad


def subcommands(command: Any) -> dict[str, Any]:
    """Return the commands of a group, including lazy ones."""
    if not hasattr(command, "list_commands"):
        return {}
    return {name: command.get_command(None, name) for name in command.list_commands(None)}


WIDE = {"COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
"""The environment of a command whose lines are read, one by one and whole."""


@contextmanager
def naiad_serve(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run the command, and end it however the test ends."""
    with subprocess.Popen(
        [*naiad(), "serve", "--free-ports", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | WIDE,
    ) as command:
        try:
            yield command
        finally:
            command.kill()


def shown_when_ready(command: subprocess.Popen[str]) -> str:
    assert command.stdout is not None
    shown = ""
    for line in command.stdout:
        shown += line
        if "Ctrl-C stops it" in line:
            break
    return shown


def urls_shown(shown: str) -> dict[str, str]:
    """Return the addresses, without path, and the log, by name."""
    return dict(re.findall(r"^(\w+) +((?:http://)?[\w.]+:\d+|/\S+)", shown, re.MULTILINE))
