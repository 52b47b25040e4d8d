"""Tensors in files, for models without an application: the task of any model on a server."""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from naiad.application import applications
from naiad.client.graphs import arrays_of
from naiad.core.pipeline import load_pipeline
from naiad.core.schema import Array, Arrays
from naiad.errors import InvalidInput, NaiadError
from naiad.files import read_file, read_npz, suffix_of
from naiad.printable import encodable
from naiad.tasks.task import Column, Json, Task
from naiad.typed_json import decode

_LARGEST: Final = 2 << 30
_SHOWN: Final = 5  # values of an output


class TensorTask(Task[Mapping[str, Any], Arrays]):
    """Send tensors from files to a model, by its name on the server.

    A .npz file has an array for each input. A .json file has nested lists by input, with
    {"b64": "..."} for bytes, or is a KServe v2 request. A .pt file has a Data or HeteroData of
    PyTorch Geometric.

    [bold]Examples[/]

      naiad infer my_model graph.npz -o answer.npz
      naiad infer my_model requests/ -o answers/
      naiad infer my_model.py:MyModel graph.npz --local
    """

    pipeline = ""
    unit, suffixes, max_bytes = "requests", (".npz", ".json", ".pt"), _LARGEST
    columns = (
        Column("file", fill="unit"),
        Column("output", doc="name of the output"),
        Column("dtype"),
        Column("shape"),
        Column("values", doc="the first values"),
    )
    formats = {".npz": f"{__name__}:NpzWriter"}

    def read(self, path: Path) -> Mapping[str, Any]:
        """Return the inputs in a file."""
        reader = {".json": _read_json, ".pt": _read_graph}.get(suffix_of(path))
        if reader is None:
            return read_npz(path, self.max_bytes)
        data = read_file(path, self.max_bytes)
        try:
            return reader(data)
        except InvalidInput as error:
            raise InvalidInput(f"{path}: {error}") from None

    def request(self, unit: Mapping[str, Any], options: Any) -> Arrays:
        """Return the inputs; the client checks them."""
        return unit

    def answer(self, unit: Mapping[str, Any], outputs: Arrays, card: Any) -> Arrays:
        """Return the outputs."""
        return outputs

    def rows(self, result: Arrays) -> Iterator[Sequence[object]]:
        """Yield a row for each output."""
        for name, array in result.items():
            first = ", ".join(_shown(value) for value in array.flat[:_SHOWN])
            more = ", ..." if array.size > _SHOWN else ""
            dtype = "bytes" if array.dtype == object else str(array.dtype)
            yield name, dtype, str(list(array.shape)), first + more


def task_of_model(name: str) -> type[TensorTask] | None:
    """Return the task of a model on a server, or of a pipeline ``FILE.py:CLASS``.

    None for what is likely to be a misspelt application.

    Raises:
        SchemaError: there is no such pipeline.
    """
    if ":" in name:
        model, pipeline = load_pipeline(name).name, name
    elif get_close_matches(name, [app.name for app in applications()], 1, 0.8):
        return None
    else:
        model, pipeline = name, ""
    members = {"name": model, "pipeline": pipeline, "__doc__": TensorTask.__doc__}
    return cast("type[TensorTask]", type(TensorTask.__name__, (TensorTask,), members))


class NpzWriter:
    """A `Writer` of .npz files: an array for each output, or ``UNIT/OUTPUT`` for several units."""

    def __init__(self, task: Task[Any, Any], path: Path, card: Any) -> None:
        """Begin a file."""
        self._archive = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)
        self._held: tuple[str, Arrays] | None = None
        self.written = 0

    def add(self, name: str, unit: Any, result: Arrays) -> None:
        """Add the outputs of a request."""
        self._flush(alone=False)
        self._held = (encodable(name), result)
        self.written += 1

    def close(self) -> None:
        """Finish the file."""
        self._flush(alone=self.written == 1)
        self._archive.close()

    @staticmethod
    def merge(task: Task[Any, Any], parts: Sequence[Path], path: Path, provenance: Json) -> None:
        """Merge files."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as whole:
            for part in parts:
                with zipfile.ZipFile(part) as archive:
                    unit = archive.comment.decode("utf-8", "ignore")
                    for entry in archive.infolist():
                        name = f"{unit}/{entry.filename}" if unit else entry.filename
                        whole.writestr(name, archive.read(entry))

    def _flush(self, *, alone: bool) -> None:
        if self._held is None:
            return
        (unit, outputs), self._held = self._held, None
        if alone:
            self._archive.comment = unit.encode()[:65_535]
        for name, array in outputs.items():
            data = io.BytesIO()
            plain = _text(array) if array.dtype == object else array
            np.lib.format.write_array(data, plain, allow_pickle=False)
            entry = f"{name}.npy" if alone else f"{unit}/{name}.npy"
            self._archive.writestr(entry, data.getvalue())


def _read_json(data: bytes) -> dict[str, Any]:
    try:
        found = decode(data, dict[str, Any])
    except ValueError as error:
        raise InvalidInput(str(error)) from None
    inputs = found.get("inputs")
    if isinstance(inputs, list) and all(isinstance(one, dict) for one in cast("list[Any]", inputs)):
        return {
            str(one.get("name")): np.array(tensor_values(one.get("data"))).reshape(
                one.get("shape", -1)
            )
            for one in cast("list[dict[str, Any]]", inputs)
        }
    return {name: tensor_values(value) for name, value in found.items()}


def tensor_values(value: Any) -> Any:
    """Return nested lists with bytes in the place of ``{"b64": ...}``.

    Raises:
        InvalidInput: there is another object, or the text is not base64.
    """
    if isinstance(value, list):
        return [tensor_values(one) for one in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    (key, text), *more = cast("dict[str, Any]", value).items() or [("", None)]
    if key != "b64" or more or not isinstance(text, str):
        raise InvalidInput(f'an object must be {{"b64": "..."}}, not with {key!r}')
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise InvalidInput(f"b64 is not base64 ({error})") from None


def _read_graph(data: bytes) -> Mapping[str, Any]:
    from naiad.geometric.files import read_graph

    return arrays_of(read_graph(io.BytesIO(data)))


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return repr(value[:40].decode("utf-8", "replace"))
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _text(array: Array) -> Array:
    """Return bytes as text, which .npz files can hold.

    Raises:
        NaiadError: they are not UTF-8.
    """
    try:
        return np.array([value.decode() for value in array.flat], np.str_).reshape(array.shape)
    except UnicodeDecodeError as error:
        raise NaiadError(
            f"an output has bytes that are not text ({error}); .npz files cannot hold them"
        ) from None
