"""TensorFlow model files: GraphDefs and SavedModels, run in a session as by NVIDIA's backend.

A model file is code and must be trusted: a graph may read and write files.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from naiad.core.schema import Array
from naiad.errors import MissingExtra, RepositoryError
from naiad.triton.backends.signature import TENSORFLOW_DTYPES, Port, Signature

_TAG: Final = "serve"
_SIGNATURE: Final = "serving_default"
_OPERATIONS: Final = ("__saved_model_init_op", "__saved_model_train_op")  # no signatures to serve
_PLACEHOLDER: Final = "Placeholder"

# Read when TensorFlow is imported: only errors in the log, and no Keras, which takes as long to
# import as the rest.
_ENVIRONMENT: Final = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_USE_LEGACY_KERAS": "1"}


@dataclass(frozen=True, slots=True)
class TensorFlowOptions:
    """Settings of a session.

    Attributes:
        intra_op_threads: threads within an operator; 0 lets TensorFlow choose. All sessions of a
            process have those of the first.
        inter_op_threads: threads across operators; 0 lets TensorFlow choose.
        graph_level: Triton's ``optimization.graph.level``: -1 no XLA, 1 and 2 XLA; None by default.
        tag: the tag of a SavedModel's graph.
        signature: the key of its signature; "" for the default one.
        init_ops: operations to run once after loading.
        libraries: files with operators of one's own.
        batched: inputs of a GraphDef whose first dimension is the batch, whatever its size there.
    """

    intra_op_threads: int = 1
    inter_op_threads: int = 1
    graph_level: int | None = None
    tag: str = ""
    signature: str = ""
    init_ops: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    batched: frozenset[str] = field(default_factory=frozenset[str])


@dataclass(frozen=True, slots=True)
class TensorFlowFile:
    """A loaded model file.

    Attributes:
        signature: its inputs and outputs. Those of a GraphDef are all its placeholders, and all
            other operations with a result; the last operations come first.
        call: the model: takes arrays by input name and the names of the wanted outputs; returns an
            array per output.
    """

    signature: Signature
    call: Callable[[Mapping[str, Array], Sequence[str]], list[Array]]


def tensorflow_is_installed() -> bool:
    """Return True if TensorFlow can be imported; does not import it."""
    found = importlib.util.find_spec("tensorflow")
    return found is not None and found.origin is not None  # else a folder of that name


def load_tensorflow(
    file: Path, device: str | None = "cpu", options: TensorFlowOptions | None = None
) -> TensorFlowFile:
    """Load a GraphDef, or a SavedModel if ``file`` is a folder.

    Args:
        file: the file.
        device: ``cpu``, ``cuda:<index>``, or None for the devices that the file names.
        options: by default one thread.

    Raises:
        RepositoryError: the file cannot be loaded; says why.
        MissingExtra: TensorFlow is not installed.
    """
    if not tensorflow_is_installed():
        raise MissingExtra("tensorflow", "tensorflow")
    tf = _imported()
    options = options or TensorFlowOptions()
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph, config=_session_config(tf, device, options))
    what, load = ("SavedModel", _load_saved) if file.is_dir() else ("GraphDef", _load_graph)
    try:
        for library in options.libraries:
            tf.load_op_library(library)
        with graph.as_default():
            signature, tensors = load(tf, session, file, device, options)
        for name in options.init_ops:
            session.run(graph.get_operation_by_name(name))
    except RepositoryError:
        raise
    except Exception as error:  # TensorFlow has many kinds of its own
        raise RepositoryError(f"{file} cannot be loaded as a {what}: {_reason(error)}") from error
    return TensorFlowFile(signature, _caller(session, tensors))


def has_cuda() -> bool:
    """Return True if TensorFlow is one with CUDA and finds a GPU."""
    return bool(_imported().config.list_physical_devices("GPU"))


def _imported() -> Any:
    with contextlib.ExitStack() as during:
        during.enter_context(_set(_ENVIRONMENT))
        if "tensorflow" not in sys.modules:
            during.enter_context(_silenced())
        import tensorflow  # pyright: ignore[reportMissingImports]

    # Loading by sessions is called deprecated, which concerns authors of files.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return tensorflow


@contextmanager
def _set(variables: Mapping[str, str]) -> Generator[None]:
    """Set environment variables that the user has not set, for a while."""
    new = {key: value for key, value in variables.items() if key not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for key in new:
            os.environ.pop(key, None)


@contextmanager
def _silenced() -> Generator[None]:
    """Discard what libraries write to standard error: some lines that no level turns off (2.21)."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a device
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _session_config(tf: Any, device: str | None, options: TensorFlowOptions) -> Any:
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=options.intra_op_threads,
        inter_op_parallelism_threads=options.inter_op_threads,
        # Otherwise the first session of a process decides for all.
        use_per_session_threads=True,
        allow_soft_placement=True,
    )
    config.gpu_options.allow_growth = True
    if device == "cpu":
        config.device_count["GPU"] = 0
    elif device is not None:
        config.gpu_options.visible_device_list = device.partition(":")[2] or "0"
    if options.graph_level is not None and options.graph_level != 0:
        levels = tf.compat.v1.OptimizerOptions
        config.graph_options.optimizer_options.global_jit_level = (
            levels.OFF
            if options.graph_level < 0
            else levels.ON_1
            if options.graph_level == 1
            else levels.ON_2
        )
    return config


def _load_graph(
    tf: Any, session: Any, file: Path, device: str | None, options: TensorFlowOptions
) -> tuple[Signature, dict[str, str]]:
    from google.protobuf.message import DecodeError

    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(file.read_bytes())
    except DecodeError:
        raise RepositoryError(
            f"{file} is not a binary GraphDef, as written by tf.io.write_graph(..., as_text=False)"
        ) from None
    if not definition.node:
        raise RepositoryError(f"{file} has no operations")
    for node in definition.node:
        if device is not None:
            node.device = ""
        if node.op == _PLACEHOLDER and node.name in options.batched:
            # A graph frozen for one image has a 1 here, which Python's sessions insist on.
            for dim in node.attr["shape"].shape.dim[:1]:
                dim.size = -1
    tf.import_graph_def(definition, name="")
    operations = [one for one in session.graph.get_operations() if one.outputs]
    inputs = [one for one in operations if one.type == _PLACEHOLDER]
    others = [one for one in operations if one.type != _PLACEHOLDER]
    others.sort(key=lambda one: any(output.consumers() for output in one.outputs))
    signature = Signature(
        "graphdef",
        tuple(_operation(one, _shape(one.outputs[0].shape)) for one in inputs),
        # Shapes that are inferred may be narrower than those of the results.
        tuple(_operation(one, None) for one in others),
    )
    return signature, {one.name: f"{one.name}:0" for one in operations}


def _operation(operation: Any, shape: tuple[int, ...] | None) -> Port:
    return Port(operation.name, _dtype(operation.outputs[0].dtype), shape)


def _load_saved(
    tf: Any, session: Any, file: Path, device: str | None, options: TensorFlowOptions
) -> tuple[Signature, dict[str, str]]:
    if not any((file / f"saved_model.{suffix}").is_file() for suffix in ("pb", "pbtxt")):
        there = ", ".join(sorted(path.name for path in file.iterdir())) or "nothing"
        raise RepositoryError(
            f"{file} has no saved_model.pb, as written by tf.saved_model.save; it has {there}"
        )
    loaded = tf.compat.v1.saved_model.load(
        session, [options.tag or _TAG], str(file), clear_devices=device is not None
    )
    known = {key: one for key, one in loaded.signature_def.items() if key not in _OPERATIONS}
    wanted = options.signature or _SIGNATURE
    if wanted not in known and (options.signature or not known):
        raise RepositoryError(
            f"{file} has no signature {wanted!r}; it has {', '.join(sorted(known)) or 'none'}"
        )
    # Without a default signature NVIDIA's backend takes any other.
    chosen = known.get(wanted) or known[min(known)]

    def ports(entries: Mapping[str, Any], kind: Literal["input", "output"]) -> tuple[Port, ...]:
        return tuple(_saved_port(tf, file, kind, key, entries[key]) for key in sorted(entries))

    signature = Signature(
        "savedmodel", ports(chosen.inputs, "input"), ports(chosen.outputs, "output")
    )
    return signature, {k: one.name for k, one in (*chosen.inputs.items(), *chosen.outputs.items())}


def _saved_port(tf: Any, file: Path, kind: str, name: str, entry: Any) -> Port:
    dtype = _dtype(tf.as_dtype(entry.dtype))
    if dtype not in TENSORFLOW_DTYPES.values():
        raise RepositoryError(
            f"{file}: {kind} {name!r} is {tf.as_dtype(entry.dtype).name}, for which Triton's "
            f"TensorFlow backend has no dtype; it has {', '.join(TENSORFLOW_DTYPES)}"
        )
    # To NVIDIA's backend no dimensions are an unknown number of them.
    return Port(name, dtype, _shape(tf.TensorShape(entry.tensor_shape)) or None)


def _dtype(dtype: Any) -> str:
    name = dtype.base_dtype.name
    return TENSORFLOW_DTYPES.get(name, name.upper())


def _shape(shape: Any) -> tuple[int, ...] | None:
    if shape.rank is None:
        return None
    return tuple(-1 if size is None else size for size in shape.as_list())


def _caller(
    session: Any, tensors: Mapping[str, str]
) -> Callable[[Mapping[str, Array], Sequence[str]], list[Array]]:
    made: dict[tuple[tuple[str, ...], tuple[str, ...]], Callable[..., list[Any]]] = {}

    def call(arrays: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        key = (tuple(arrays), tuple(wanted))
        if key not in made:
            # Takes two thirds of the time of session.run for a small model.
            made[key] = session.make_callable(
                [tensors[name] for name in wanted], feed_list=[tensors[name] for name in arrays]
            )
        try:
            results = made[key](*arrays.values())
        except Exception as error:
            raise RuntimeError(_reason(error)) from error
        return [_array(result) for result in results]

    return call


def _array(value: Any) -> Array:
    # NumPy would end a string at its last zero bytes.
    return np.ascontiguousarray(
        np.array(value, dtype=object) if isinstance(value, bytes) else value
    ).reshape(np.shape(value))


def _reason(error: Exception) -> str:
    """Return the line of TensorFlow's message that has the reason, before a ``[[node]]``."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    nodes = (number for number, line in enumerate(lines) if line.startswith("[["))
    place = max(0, next(nodes, 0) - 1)
    return lines[place] if lines else type(error).__name__
