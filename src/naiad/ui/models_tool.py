"""The tool that lists the models on a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from naiad.errors import NaiadError
from naiad.tasks.served import ServedTasks
from naiad.ui.tools import Json, Reply, Watch, check_names


class ModelsTool:
    """List the models, and say why there are none if the server is gone: there always is a tool."""

    name = "list_models"

    def __init__(self, tasks: ServedTasks) -> None:
        """List the models of ``tasks``."""
        self._tasks = tasks

    def title(self) -> str:
        """Return its name."""
        return "list models"

    def about(self) -> str:
        """Return its purpose."""
        return (
            f"List the models served at {self._tasks.client.url}: their tasks, and whether they "
            "are ready. Each has a tool of its own; models may be loaded and unloaded at any time."
        )

    def takes(self) -> Json:
        """Return the schema: no arguments."""
        return {"type": "object", "properties": {}, "additionalProperties": False}

    def gives(self) -> Json:
        """Return the schema of the list."""
        model = {
            "type": "object",
            "required": ["name", "ready"],
            "properties": {
                "name": {"type": "string"},
                "ready": {"type": "boolean"},
                "task": {"type": "string"},
                "notice": {"type": "string"},
            },
        }
        return {
            "type": "object",
            "required": ["server", "models"],
            "properties": {
                "server": {"type": "string"},
                "models": {"type": "array", "items": model},
            },
        }

    def call(self, arguments: Mapping[str, Any], watch: Watch) -> Reply:
        """Return the list.

        Raises:
            Unavailable: the server cannot be reached.
        """
        check_names(arguments, self.takes())
        client = self._tasks.client
        found: list[Json] = [
            {"name": name, "ready": _is_ready(self._tasks, name)} for name in self._tasks.models()
        ]
        calls = {call.model: (name, call) for name, call in self._tasks.calls().items()}
        for one in found:
            if one["name"] in calls:
                name, call = calls[one["name"]]
                one |= {"task": name, "notice": call.notice}
        lines = [
            f"{one['name']}{'' if one['ready'] else ' (not ready)'}"
            f"{': task ' + one['task'] if 'task' in one else ''}"
            for one in found
        ]
        text = "\n".join(lines) or f"{client.url} serves no model"
        return Reply(text, {"server": client.url, "models": found})


def _is_ready(tasks: ServedTasks, name: str) -> bool:
    try:
        return tasks.client.ready(name)
    except NaiadError:
        return False
