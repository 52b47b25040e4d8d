"""The form of a task: its units, typed or in files, and its options as fields with their help."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import gradio as gr

from naiad.errors import InvalidInput, NaiadError
from naiad.hdf5_references import refuse_references
from naiad.tasks.calls import TaskCall
from naiad.tasks.option_fields import OptionField
from naiad.tasks.sources import find_inputs, open_input
from naiad.tasks.task import Joins
from naiad.tasks.views import Suggests
from naiad.ui.events import QUICK, follow
from naiad.ui.examples import Example
from naiad.ui.timing import new_request_id

_ALL: Final = -1  # of the units in a file
_NAMED: Final = 100  # units of a file that are listed by name
_LISTED: Final = 1_000
_LONGEST: Final = 100_000  # characters that are typed
_SUGGESTED: Final = 8  # units, as one types


@dataclass(frozen=True, slots=True)
class Question:
    """A filled form.

    Attributes:
        typed: units that were typed.
        files: with units.
        chosen: the units of each file.
        options: an instance of the task's ``Options``.
        request_id: of the requests that it makes.
    """

    typed: tuple[str, ...]
    files: tuple[Path, ...]
    chosen: slice
    options: Any
    request_id: str = field(default_factory=new_request_id)

    def gathered(self, folder: Path) -> Question:
        """Return the question with all files in one folder, as pairs of files have to be."""
        files: list[Path] = []
        for number, path in enumerate(self.files):
            place = folder / path.name
            if place.exists():
                place = folder / str(number) / path.name
                place.parent.mkdir()
            place.symlink_to(path)
            files.append(place)
        return replace(self, files=tuple(files))

    def without_folders(self, text: str) -> str:
        """Return a text with the names of the files in place of where they were uploaded to."""
        for path in self.files:
            text = text.replace(f"{path.parent}{os.sep}", "")
        return text


@dataclass(slots=True)
class Form:
    """The components of a form, in the order of their values.

    Attributes:
        call: of the task.
        text: for typed units.
        files: for files.
        unit: for the choice of a unit in a file.
        options: of the task, by name.
    """

    call: TaskCall
    text: Any = None
    files: Any = None
    unit: Any = None
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def components(self) -> list[Any]:
        """All components, in order."""
        own = [one for one in (self.text, self.files, self.unit) if one is not None]
        return [*own, *self.options.values()]

    def read(self, values: Sequence[Any]) -> Question:
        """Return the question from the components' values.

        Raises:
            InvalidInput: an option is not allowed, or no unit is given.
        """
        given = dict(zip(map(id, self.components), values, strict=True))
        text = given.get(id(self.text)) or ""
        files = given.get(id(self.files)) or ()
        number = given.get(id(self.unit), _ALL)
        typed = tuple(line for line in str(text).splitlines() if line.strip())
        if not typed and not files:
            task = self.call.task
            what = f"type {task.unit}" if self.call.is_typed else f"choose files of {task.unit}"
            raise InvalidInput(f"{what} first, or click an example")
        plain: dict[str, Any] = {}
        for one in self.call.fields:
            plain |= _read(one, given[id(self.options[one.name])], _is_parsed(self.call, one))
        chosen = slice(None) if number is None or number < 0 else slice(number, number + 1)
        return Question(typed, tuple(map(Path, files)), chosen, self.call.options(plain))

    def filled(self, example: Example) -> list[Any]:
        """Return updates of all components for an example."""
        updates: dict[int, Any] = {}
        if self.text is not None:
            updates[id(self.text)] = example.typed
        if self.files is not None:
            updates[id(self.files)] = [str(path) for path in example.files] or None
        if self.unit is not None:
            updates[id(self.unit)] = self.listed(example.files, example.number)
        for one in self.call.fields:
            value = example.options.get(one.name)
            updates[id(self.options[one.name])] = _shown(one) if value is None else value
        return [updates[id(one)] for one in self.components]

    def listed(self, files: Sequence[Path | str] | None, number: int = 0) -> Any:
        """Return an update of the choice of a unit, for the units in the files.

        A file that cannot be read has no units here: asking about it says why.
        """
        task, names = self.call.task, list[str]()
        if files and len(files) == 1:
            with suppress(NaiadError):
                (given,) = find_inputs(task, [Path(files[0])])
                refuse_references(given.path)
                with closing(open_input(task, given)) as source:
                    shown = range(min(len(source), _NAMED))
                    names = [name for name, _ in source.read(shown)]
                    more = range(len(names), min(len(source), _LISTED))
                    names += [f"number {place + 1}" for place in more]
        choices = [(f"all {task.unit}", _ALL), *((name, n) for n, name in enumerate(names))]
        chosen = number if number < len(names) else _ALL
        return gr.Dropdown(choices=choices, value=chosen, visible=len(names) > 1)


def build_form(call: TaskCall) -> Form:
    """Make the components of a task's form in the current layout."""
    task, form = call.task, Form(call)
    unit = task.unit[:1].upper() + task.unit[1:]
    if call.is_typed:
        form.text = _text(call, unit)
    else:
        form.files = gr.File(
            label=_files_label(call, unit),
            file_count="multiple",
            file_types=list(_endings(task.suffixes)),
            type="filepath",
            interactive=True,
            height=150,
            elem_classes=["naiad-files"],
        )
        if call.has_many:
            choices = [(f"all {task.unit}", _ALL)]
            form.unit = gr.Dropdown(
                choices,
                value=_ALL,
                label=f"Which of the {task.unit}",
                visible=False,
                interactive=True,
            )
            form.files.change(form.listed, form.files, form.unit, **QUICK)
    for one in call.fields:
        form.options[one.name] = _component(one, _is_parsed(call, one))
    return form


def _text(call: TaskCall, unit: str) -> Any:
    task: Any = call.task
    if not isinstance(task, Suggests):
        return gr.Textbox(
            label=unit,
            info="One a line.",
            lines=3,
            max_lines=12,
            max_length=_LONGEST,
            interactive=True,
        )
    return _suggesting(task, call, unit)


def _suggesting(task: Suggests, call: TaskCall, unit: str) -> Any:
    """Make a text field with suggestions below it as one types; a click on one takes it.

    Gradio's drop-down list is none for this: it hides choices that do not contain the text, and
    fails in the browser when an open list gets fewer choices (6.31).
    """
    box = gr.Textbox(label=unit, max_lines=1, max_length=_LONGEST, interactive=True)
    with gr.Row(visible=False, elem_classes=["naiad-suggested"]) as row:
        buttons = [
            gr.Button(visible=False, size="sm", scale=0, min_width=0) for _ in range(_SUGGESTED)
        ]

    def suggest(text: str) -> list[Any]:
        try:
            found = list(task.suggest(call.client, call.model, text)) if text else []
        except NaiadError:
            found = []
        names = [] if text in found else found[:_SUGGESTED]  # it is complete
        shown = [gr.update(value=name, visible=True) for name in names]
        hidden = [gr.update(visible=False)] * (_SUGGESTED - len(names))
        return [gr.update(visible=bool(names)), *shown, *hidden]

    def take(name: str) -> list[Any]:
        return [name, gr.update(visible=False)]

    follow(box.input, suggest, box, [row, *buttons])
    for one in buttons:
        one.click(take, one, [box, row], **QUICK)
    return box


def _files_label(call: TaskCall, unit: str) -> str:
    task = call.task
    parts = list(task.parts(call.card)) if isinstance(task, Joins) else []
    if len(parts) > 1:
        return f"{unit}: the files of each in this order: {', '.join(parts)}"
    return f"{unit} ({', '.join(task.suffixes)})" if len(task.suffixes) < 5 else unit


def _endings(suffixes: Sequence[str]) -> Sequence[str]:
    """Return endings as browsers know them: the last part of ``.nii.gz``."""
    return list(dict.fromkeys(f".{suffix.rpartition('.')[2]}" for suffix in suffixes))


def _component(one: OptionField, parsed: bool) -> Any:
    label = one.label[:1].upper() + one.label[1:]
    about: dict[str, Any] = {
        "label": label,
        "info": one.help,
        "value": _shown(one),
        # Gradio takes what is also changed by an event for an output.
        "interactive": True,
    }
    if one.choices:
        return gr.Dropdown([*([""] if one.optional else []), *one.choices], **about)
    match one.kind:
        case "boolean":
            return gr.Checkbox(**about)
        case "integer" | "number" if about["value"] != "":
            about |= {"minimum": one.minimum, "maximum": one.maximum}
            return gr.Number(precision=0 if one.kind == "integer" else None, **about)
        case "strings" if not parsed:
            about["info"] = f"{one.help} One a line."
            return gr.Textbox(**about, lines=1, max_lines=8)
        case _:
            return gr.Textbox(**about, max_length=_LONGEST)


def _shown(one: OptionField) -> Any:
    """Return an option's default as its component has it."""
    if one.required or one.default is None:
        # A field for numbers would show, and send, 0 for none (Gradio 6.31).
        return None if one.kind == "boolean" else ""
    if one.kind == "strings":
        return "\n".join(one.default)
    return one.default


def _read(one: OptionField, value: Any, parsed: bool) -> dict[str, Any]:
    """Return an option that differs from its default, as a plain value."""
    if value is None or value == _shown(one):
        return {}
    if one.kind == "strings":
        return {one.name: value if parsed else [line for line in value.splitlines() if line]}
    if one.kind in ("integer", "number") and isinstance(value, str):
        with suppress(ValueError):  # else it is refused as it is
            value = float(value)
    if one.kind == "integer" and isinstance(value, float) and value.is_integer():
        return {one.name: int(value)}
    if one.kind == "string" and value == "" and one.optional:
        return {}
    return {one.name: value}


def _is_parsed(call: TaskCall, known: OptionField) -> bool:
    """Return True if a text stands for the option's value, as on the command line."""
    declared = {one.name: one for one in fields(call.task.Options)}
    return "parser" in declared[known.name].metadata
