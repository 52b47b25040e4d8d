"""The fields of a call of a task over HTTP: units, files, options, and what to return."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from naiad.client.checks import checked_text
from naiad.errors import InvalidInput
from naiad.tasks.calls import TaskCall
from naiad.tasks.option_fields import OptionField
from naiad.tasks.task import Draws, WritesFiles

Json = dict[str, Any]
FindFiles: TypeAlias = Callable[[Sequence[str]], Sequence[Path]]
"""Returns the files at some paths."""

FILES: Final = "files"
_START, _COUNT, _PICTURE, _OUTPUTS = "start", "count", "picture", "outputs"
_LONGEST_NAME: Final = 200  # bytes of a file's name that are kept
_FILE: Final[Json] = {
    "type": "object",
    "required": ["name", "content"],
    "properties": {
        "name": {"type": "string", "description": "Name of the file; its ending says its kind."},
        "content": {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": "application/octet-stream",
        },
    },
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Given:
    """A call as it was sent.

    Attributes:
        typed: units that were typed.
        files: names and content.
        options: by name, as plain values.
        start, count: the units of each file to ask about.
        picture, outputs: whether to return the picture, and the files of results.
    """

    typed: tuple[str, ...] = ()
    files: tuple[tuple[str, bytes | Path], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    start: int = 0
    count: int | None = None
    picture: bool = False
    outputs: bool = False


class TaskFields:
    """The fields of one task: their JSON Schema, and readers of JSON and of forms."""

    def __init__(self, call: TaskCall) -> None:
        """Take the fields of a task as it is served."""
        self._call = call
        self.typed = call.task.unit.replace(" ", "_") if call.is_typed else ""
        """Name of the field for typed units, such as ``texts``; "" if the task takes files only."""
        self._options: Mapping[str, OptionField] = {one.name: one for one in call.fields}

    def schema(self, *, form: bool) -> Json:
        """Return the JSON Schema of the body: of JSON, or of ``multipart/form-data``."""
        task = self._call.task
        endings = f" ({', '.join(task.suffixes)})" if task.suffixes else ""
        what = f"files of {task.unit}{endings}"
        properties: Json = {}
        if self.typed:
            properties[self.typed] = {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "description": f"The {task.unit} to ask about.",
            }
            what = f"text files with {task.unit}, one a line"
        binary = {"type": "string", "contentMediaType": "application/octet-stream"}
        properties[FILES] = {
            "type": "array",
            "items": binary if form else _FILE,
            "minItems": 1,
            "description": f"{what[0].upper()}{what[1:]}{'' if form else ', in base64'}.",
        }
        needed = [name for name, one in self._options.items() if one.required]
        properties |= {name: one.schema() for name, one in self._options.items()}
        properties |= self._others()
        schema: Json = {"type": "object", "properties": properties, "additionalProperties": False}
        if not self.typed:
            schema["required"] = [FILES, *needed]
            return schema
        if needed:
            schema["required"] = needed
        schema["anyOf"] = [{"required": [self.typed]}, {"required": [FILES]}]
        return schema

    def from_json(self, body: Any) -> Given:
        """Read a call in JSON.

        Raises:
            InvalidInput: a field is unknown or of another type; says which.
        """
        if not isinstance(body, dict):
            raise InvalidInput(f"the body must be a JSON object, not {_kind(body)}")
        given: dict[str, Any] = {**body}
        typed = given.pop(self.typed, None) if self.typed else None
        files = given.pop(FILES, None)
        return self._given(
            () if typed is None else _strings(self.typed, typed),
            () if files is None else tuple(map(_file, _list(FILES, files))),
            given,
        )

    def from_paths(self, body: Mapping[str, Any], find: FindFiles) -> Given:
        """Read a call whose files are named by paths, which ``find`` checks.

        Raises:
            InvalidInput: as :meth:`from_json`, or ``find`` refuses a path.
        """
        given = dict(body)
        typed = given.pop(self.typed, None) if self.typed else None
        paths = find(_strings(FILES, given.pop(FILES, [])))
        return self._given(
            () if typed is None else _strings(self.typed, typed),
            tuple((path.name, path) for path in paths),
            given,
        )

    def from_form(
        self, values: Sequence[tuple[str, str]], files: Sequence[tuple[str, Path]]
    ) -> Given:
        """Read a call sent as a form: all values are text, and lists are repeated fields.

        Raises:
            InvalidInput: as :meth:`from_json`.
        """
        typed: list[str] = []
        several: dict[str, list[str]] = {}
        for name, value in values:
            if name == FILES:
                raise InvalidInput(f"{FILES} must be sent as files, with a name")
            if self.typed and name == self.typed:
                typed.append(value)
            else:
                several.setdefault(name, []).append(value)
        plain: dict[str, Any] = {}
        kinds = {name: one.kind for name, one in self._options.items()}
        kinds |= {name: about["type"] for name, about in self._others().items()}
        for name, found in several.items():
            if len(found) > 1 and kinds.get(name) == "strings":
                plain[name] = found
            elif len(found) > 1:
                raise InvalidInput(f"{name} is given {len(found)} times; give it once")
            else:
                plain[name] = _parsed(found[0], kinds.get(name, "string"))
        return self._given(tuple(typed), tuple(files), plain)

    def _given(
        self,
        typed: tuple[str, ...],
        files: tuple[tuple[str, bytes | Path], ...],
        others: dict[str, Any],
    ) -> Given:
        known = self._others()
        for name in others:
            if name not in known and name not in self._options:
                fields = [*([self.typed] if self.typed else []), FILES, *self._options, *known]
                raise InvalidInput(f"unknown field {name!r}; fields: {', '.join(fields)}")
        if not typed and not files:
            either = f"{self.typed} or {FILES}" if self.typed else FILES
            raise InvalidInput(f"give {either}: there are no {self._call.task.unit} to ask about")
        start = _integer(_START, others.pop(_START, 0)) if _START in known else 0
        count = others.pop(_COUNT, None) if _COUNT in known else None
        flags = {
            name: _flag(name, others.pop(name, False))
            for name in (_PICTURE, _OUTPUTS)
            if name in known
        }
        return Given(
            typed,
            files,
            others,
            start,
            None if count is None else _integer(_COUNT, count),
            flags.get(_PICTURE, False),
            flags.get(_OUTPUTS, False),
        )

    def _others(self) -> Json:
        task, unit = self._call.task, self._call.task.unit
        fields: Json = {}
        if self._call.has_many:
            fields[_START] = {
                "type": "integer",
                "minimum": 0,
                "default": 0,
                "description": f"The first of the {unit} of each file, from 0.",
            }
            fields[_COUNT] = {
                "type": "integer",
                "minimum": 0,
                "description": f"Number of {unit} of each file; by default all.",
            }
        if isinstance(task, Draws):
            fields[_PICTURE] = _boolean("Return a picture of the answers, too, as PNG.")
        if isinstance(task, WritesFiles):
            fields[_OUTPUTS] = _boolean("Return the files of the answers, too.")
        return fields


def file_name(name: str) -> str:
    """Return the last part of a name that a client gave to a file, fit for a folder of ours."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(one if one.isprintable() else "_" for one in last).strip()
    while len(kept.encode(errors="replace")) > _LONGEST_NAME:
        kept = kept[1:]  # the ending says the kind
    return kept.encode(errors="replace").decode() if kept.strip(".") else "file"


def _boolean(text: str) -> Json:
    return {"type": "boolean", "default": False, "description": text}


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "a boolean", str: "a string", list: "a list"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "an object")


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInput(f"{name} is {_kind(value)}; it must be a list")
    return value


def _strings(name: str, value: Any) -> tuple[str, ...]:
    for number, one in enumerate(_list(name, value)):
        if not isinstance(one, str):
            raise InvalidInput(f"{name}[{number}] is {_kind(one)}; it must be a string")
        checked_text(f"{name}[{number}]", one)
    return tuple(value)


def _file(value: Any) -> tuple[str, bytes]:
    if not isinstance(value, dict) or value.keys() != {"name", "content"}:
        raise InvalidInput(f'{FILES} must be objects with "name" and "content", in base64')
    name, content = value["name"], value["content"]
    if not isinstance(name, str) or not isinstance(content, str):
        raise InvalidInput(f'"name" and "content" in {FILES} must be strings')
    try:
        return name, base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"the content of {name[:100]!r} is not base64") from None


def _integer(name: str, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise InvalidInput(f"{name} is {value!r}; it must be an integer from 0")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} is {value!r}; it must be true or false")
    return value


def _parsed(text: str, kind: str) -> Any:
    """Return a form's value as JSON has it; text that cannot be read stays, to be refused."""
    if kind in ("boolean", "integer", "number"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
