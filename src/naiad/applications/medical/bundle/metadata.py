"""The fields of a bundle's ``metadata.json`` that a service is derived from.

They are those of ``network_data_format`` in MONAI's bundle specification. Descriptions are taken as
they are; fields that the schema is derived from are checked.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from naiad.applications.medical.bundle.files import BundleFiles
from naiad.applications.medical.bundle.kinds import KINDS, Kind
from naiad.applications.medical.bundle.references import look_up
from naiad.dicom.findings import read_codes
from naiad.errors import RepositoryError

Task = Literal["segmentation", "classification"]

_MOST_CHANNELS: Final = 1024
_ANY_NUMBER: Final = "n"
_KINDS: Final = {kind.axes: kind for kind in KINDS}
_FREE: Final = 64  # voxels along an axis of any length
_LEAST: Final = 16  # minimum voxels, by which n or p of "8*n" or "2**p" are chosen


@dataclass(frozen=True, slots=True)
class Image:
    """An input of the network.

    Attributes:
        name: its key in the transforms.
        channels: number of aligned images, such as the sequences of an MR examination.
        channel_names: their names, as far as stated.
        shape: of the network's input; expressions such as ``"8*n"`` are sizes that it can take. A
            network that takes volumes slice by slice takes any number of slices.
        patch: whether the input is a window of the volume.
        modality: ``CT``, ``MR``, ...
        value_range: least and greatest value of the input, or empty.
    """

    name: str
    channels: int
    channel_names: tuple[str, ...]
    shape: tuple[int | str, ...]
    patch: bool
    modality: str
    value_range: tuple[float, ...]

    @property
    def kind(self) -> Kind[Any]:
        """The kind of image: volume or picture."""
        return _KINDS[len(self.shape)]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files of a scan: a volume per channel, or a picture with all colours."""
        return self.kind.files(self.name, self.channel_names)

    def example_shape(self) -> tuple[int, ...]:
        """Return a small shape that fits the pattern."""
        return tuple(size if isinstance(size, int) else _evaluated(size) for size in self.shape)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The output of the network.

    Attributes:
        name: its key in the transforms.
        task: segmentation or classification.
        channels: number of scores for each voxel, or for the whole.
        labels: name of each channel by its number, as far as stated.
        codes: concept of each channel in a standard terminology, as ``channel_codes`` states it.
    """

    name: str
    task: Task
    channels: int
    labels: Mapping[int, str]
    codes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def class_names(self) -> list[str]:
        """Return the name of each channel."""
        return [self.labels.get(number, f"class {number}") for number in range(self.channels)]


@dataclass(frozen=True, slots=True)
class Metadata:
    """A bundle's description of itself.

    Attributes:
        image: input of the network.
        prediction: output of the network.
        title: the task or the name, in words.
        version: of the bundle.
        intended_use: its use as intended by its authors, or "".
    """

    image: Image
    prediction: Prediction
    title: str
    version: str
    intended_use: str


def read_metadata(files: BundleFiles) -> Metadata:
    """Read and check the metadata of a bundle.

    Raises:
        RepositoryError: a field is missing or wrong, or the bundle cannot be served; names the file
            and the field.
    """
    reader = _Fields(files)
    image_name, image = reader.only("network_data_format.inputs")
    pred_name, prediction = reader.only("network_data_format.outputs")
    where, out = (
        f"network_data_format.inputs.{image_name}",
        (f"network_data_format.outputs.{pred_name}"),
    )
    shape = reader.shape(image, where)
    sliced = _sliced_axis(files) if len(shape) == 2 else None
    if sliced is not None:
        shape = (*shape[:sliced], _ANY_NUMBER, *shape[sliced:])
    channels = reader.count(image, where, _KINDS[len(shape)].most_channels)
    names = reader.channel_names(image, where)
    return Metadata(
        image=Image(
            name=image_name,
            channels=channels,
            channel_names=tuple(names.get(n, f"channel {n}") for n in range(channels)),
            shape=shape,
            patch=bool(image.get("is_patch_data", False)),
            modality=str(image.get("modality", "")),
            value_range=reader.value_range(image, where),
        ),
        prediction=Prediction(
            name=pred_name,
            task=reader.task(prediction, out),
            channels=reader.count(prediction, out, _MOST_CHANNELS),
            labels=reader.channel_names(prediction, out),
            codes=reader.channel_codes(prediction, out),
        ),
        title=str(files.metadata.get("task") or files.metadata.get("name") or ""),
        version=str(files.metadata.get("version", "")),
        intended_use=str(files.metadata.get("intended_use", "")),
    )


class _Fields:
    """Reader of fields that names a wrong one."""

    def __init__(self, files: BundleFiles) -> None:
        self._files = files

    def wrong(self, field: str, what: str) -> RepositoryError:
        return self._files.wrong_metadata(f"{field} {what}")

    def only(self, field: str) -> tuple[str, Mapping[str, Any]]:
        """Return the only entry of a mapping of mappings."""
        found: Any = self._files.metadata
        for part in field.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping) or not found:
            raise self.wrong(
                field,
                f"is {found!r}; it must be a mapping from the name of a tensor to its format",
            )
        if len(found) > 1:
            raise self.wrong(
                field, f"has {', '.join(found)}; a bundle must have one input and one output tensor"
            )
        ((name, entry),) = found.items()
        if not isinstance(entry, Mapping):
            raise self.wrong(f"{field}.{name}", f"is {entry!r}; it must be a mapping")
        return str(name), entry

    def count(self, entry: Mapping[str, Any], field: str, most: int) -> int:
        channels = entry.get("num_channels")
        if type(channels) is not int or not 1 <= channels <= most:
            raise self.wrong(f"{field}.num_channels", f"is {channels!r}; it must be 1 to {most}")
        return channels

    def channel_names(self, entry: Mapping[str, Any], field: str) -> dict[int, str]:
        found = entry.get("channel_def") or {}
        try:
            return {int(number): str(name) for number, name in dict(found).items()}
        except (TypeError, ValueError):
            raise self.wrong(
                f"{field}.channel_def", f'is {found!r}; it must be as {{"0": "background"}}'
            ) from None

    def channel_codes(self, entry: Mapping[str, Any], field: str) -> dict[str, Any]:
        found = entry.get("channel_codes") or {}
        try:
            read_codes(found)
            return {str(number): dict(code) for number, code in found.items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self.wrong(
                f"{field}.channel_codes",
                f'is {found!r}; it must be as {{"1": {{"scheme": "SCT", "value": "78961009", '
                '"meaning": "Spleen"}}, where an entry may have a category of the same form',
            ) from None

    def shape(self, entry: Mapping[str, Any], field: str) -> tuple[int | str, ...]:
        field = f"{field}.spatial_shape"
        found = entry.get("spatial_shape")
        if not isinstance(found, Sequence) or isinstance(found, str) or len(found) not in _KINDS:
            raise self.wrong(
                field,
                f"is {found!r}; it must have 3 sizes for volumes or 2 for pictures",
            )
        for size in found:
            try:
                least = size if type(size) is int else _evaluated(size)
            except (SyntaxError, ValueError, TypeError):
                raise self.wrong(
                    field, f'has {size!r}; a size is a number, "*", or such as "8*n" or "2**p"'
                ) from None
            if least < 1:
                raise self.wrong(field, f"has {size!r}; a size must be 1 or more")
        return tuple(found)

    def value_range(self, entry: Mapping[str, Any], field: str) -> tuple[float, ...]:
        found = entry.get("value_range") or ()
        try:
            values = tuple(float(value) for value in found)
        except (TypeError, ValueError):
            values = (0.0,)
        if len(values) not in (0, 2):
            raise self.wrong(f"{field}.value_range", f"is {found!r}; it must be [least, greatest]")
        return values

    def task(self, entry: Mapping[str, Any], field: str) -> Task:
        kind, form = entry.get("type"), entry.get("format")
        if kind in ("probabilities", "probability") or form in ("classes", "classification"):
            return "classification"
        if form == "labels" and entry.get("spatial_shape") == [1, entry.get("num_channels")]:
            return "classification"  # scores for the channels, not for pixels
        if kind == "image" and form in ("segmentation", "labels"):
            return "segmentation"
        raise self.wrong(
            field,
            f'has type {kind!r} and format {form!r}; it must be segmentation (type "image", format '
            '"segmentation") or classification (type "probabilities", format "classes")',
        )


def _sliced_axis(files: BundleFiles) -> int | None:
    """Return the axis along which a 2D network takes the slices of volumes, or None.

    Only the config says so, by MONAI's ``SliceInferer``.
    """
    id = "inferer" if look_up(files, "inferer") is not None else "evaluator::inferer"
    inferer = look_up(files, id)
    if not isinstance(inferer, Mapping):
        return None
    entry = cast(Mapping[str, Any], inferer)
    if str(entry.get("_target_")).rpartition(".")[2] != "SliceInferer":
        return None
    override = look_up(files, f"{id}::spatial_dim")
    axis: Any = entry.get("spatial_dim", 0) if override is None else override
    if isinstance(axis, str) and axis.startswith("@"):
        axis = look_up(files, axis[1:])
    if axis not in range(3):
        raise files.wrong_config(f"inferer.spatial_dim is {axis!r}; it must be 0, 1 or 2")
    return int(axis)


def _evaluated(pattern: str) -> int:
    """Return the least size from 16 that a pattern such as ``"8*n"`` or ``"2**p"`` allows."""
    if pattern.strip() == "*":
        return _FREE
    tree = ast.parse(pattern.strip(), mode="eval").body
    sizes = (_value(tree, number) for number in range(1, _LEAST + 1))
    found = [size for size in sizes if size >= _LEAST]
    return found[0] if found else _value(tree, _LEAST)


def _value(tree: ast.AST, number: int) -> int:
    """Evaluate a product or power, ``n`` and ``p`` being the number."""
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return tree.value
    if isinstance(tree, ast.Name) and tree.id in ("n", "p"):
        return number
    if isinstance(tree, ast.BinOp):
        left, right = _value(tree.left, number), _value(tree.right, number)
        if isinstance(tree.op, ast.Mult):
            return left * right
        if isinstance(tree.op, ast.Pow) and 0 <= right <= _LEAST and 0 <= left <= _MOST_CHANNELS:
            return left**right
    raise ValueError(ast.dump(tree))
