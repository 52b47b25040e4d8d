"""The pipeline: a schema and four hooks. Everything else is derived from it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias, cast

import numpy as np

from naiad.core.budget import Budget
from naiad.core.fields import check
from naiad.core.merging import Batch
from naiad.core.model_names import check_model_name
from naiad.core.own_settings import declared, with_values
from naiad.core.schema import (
    BYTES,
    REQUESTS,
    Array,
    Arrays,
    Schema,
    Tensor,
    check_schema,
    fill_defaults,
    named_dims,
    validate,
)
from naiad.core.settings import Runtime, ServiceSettings
from naiad.core.user_modules import is_of_session, load_module
from naiad.errors import InvalidInput, PipelineError, SchemaError, WeightsError

Parameter: TypeAlias = str | int | bool | float

MADE: Final = re.compile(r"(\w+)\((.*)\)")
"""Spec part that calls a function to make a pipeline class; see :func:`load_pipeline`."""


@dataclass(frozen=True, slots=True)
class Request(Mapping[str, Any]):
    """One client's request: its arrays by name, checked against ``Pipeline.inputs``.

    Attributes:
        arrays: the tensors; hooks may write to them, and hand them to ``torch.from_numpy``.
        sizes: the size of every named dimension.
        id: the request id the client chose, or "".
        parameters: the request parameters the client sent.
    """

    arrays: Arrays
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    id: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


@dataclass(frozen=True, slots=True)
class Contract:
    """The part of a pipeline needed to accept requests: no code, so it can be sent."""

    inputs: Schema
    limit: Budget
    budget: Budget
    waiting: Budget

    def request(self, arrays: Arrays, id: str, parameters: Mapping[str, Parameter]) -> Request:
        """Check a client's arrays and fill in the defaults of omitted ones.

        Raises:
            InvalidInput: with the tensor, the position, the value and what would be right.
        """
        sizes = validate(self.inputs, arrays)
        return Request(fill_defaults(self.inputs, arrays, sizes), sizes, id, parameters)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that makes a class.

    Attributes:
        function: what is called.
        arguments: by name, without omitted ones.
        files: content of files that arguments name, by file name.
    """

    function: Any
    arguments: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


class Pipeline:
    """A model as Naiad serves it: its inputs, its outputs and the steps between them.

    A subclass declares ``inputs`` and ``outputs`` and writes ``forward``; the other hooks have
    defaults that pass data through::

        class Degree(naiad.Pipeline):
            inputs = {
                "x": Tensor("float32", ("nodes", 8)),
                "edge_index": Tensor("int64", (2, "edges"), index_into="nodes"),
            }
            outputs = {"degree": Tensor("int64", ("nodes",))}

            def forward(self, batch):
                source, target = batch["edge_index"]
                return {"degree": torch.bincount(target, minlength=batch.total("nodes"))}

    ``prepare`` and ``finish`` see one request at a time; ``forward`` sees many merged into one.
    All hooks run in a worker process, after one call of ``setup``. ``prepare`` may run in another
    thread than ``forward`` and ``finish``, concurrently, for later requests; it must only read
    state that it shares with them (see ``prepare_threads``).

    A pipeline may declare its own settings, the fields of a frozen dataclass. Its class attribute
    ``settings`` has the defaults; ``naiad serve --set NAME=VALUE`` sets others, which the hooks
    find in ``self.settings``::

        @dataclass(frozen=True)
        class Options:
            threshold: float = 0.5

        class Peaks(naiad.Pipeline):
            settings = Options()
    """

    name: ClassVar[str]
    """The model's name on the server; by default the class name in snake_case."""
    inputs: ClassVar[Schema]
    """Tensors that a client sends."""
    outputs: ClassVar[Schema]
    """Tensors that a client receives."""
    sample: ClassVar[Schema]
    """Tensors that ``prepare`` returns and ``forward`` receives merged; by default ``inputs``."""
    result: ClassVar[Schema]
    """Tensors that ``forward`` returns and ``finish`` receives split; by default ``outputs``."""
    budget: ClassVar[Budget] = Budget(requests=64)
    """Maximum size of a batch, by dimension or ``counts`` of ``inputs`` or ``sample``. The sizes of
    a sample are known once it is prepared; if it does not fit, those before it are run first."""
    limit: ClassVar[Budget] = Budget()
    """Maximum size of a request; larger ones are refused."""
    waiting: ClassVar[Budget] = Budget()
    """Maximum size of the queue, by dimension or ``counts`` of ``inputs``."""
    arrays: ClassVar[Literal["torch", "numpy"]] = "torch"
    """Kind of arrays that ``forward`` receives and returns: torch tensors or NumPy arrays."""
    merges: ClassVar[bool | None] = None
    """Whether requests may share a batch. None: a worker that loads the model compares the answers
    to its example and a larger request, alone and merged."""
    gradients: ClassVar[bool] = False
    """Whether ``forward`` computes gradients, as a force field does; if not, it runs in
    ``torch.inference_mode``."""
    watchdog: ClassVar[float] = 120.0
    """Maximum seconds for one batch; a worker process that takes longer is killed and replaced."""
    threads: ClassVar[int | None] = None
    """Threads of each worker for ``forward``. None: one, and for a long batch also cores that would
    idle, in networks that Naiad opens and in whatever else follows `naiad.networks.threads`."""
    prepare_threads: ClassVar[int] = 1
    """Maximum number of threads that call ``prepare`` concurrently with ``forward``, if a model has
    one worker and a core is free (a model on a GPU has both); never more than the cores allow. With
    more than 1, ``prepare`` is called for several requests at once. 0: never concurrently."""
    queue_capacity: ClassVar[int] = 10_000
    """Maximum number of queued requests; more get ``UNAVAILABLE`` and a hint when to retry."""
    max_queue_delay: ClassVar[float] = 0.0
    """Maximum seconds that a free worker waits for a batch to fill. With 0 it never waits: batches
    form by themselves under load."""
    latency_target: ClassVar[float | None] = None
    """Seconds within which requests should be answered: batches are kept smaller if, by their
    measured cost, more requests then meet it. None: as large as the budget allows."""
    runtime: ClassVar[Runtime | None] = None
    """Library that runs the network; None: that of the network's file. ``setup`` passes it on to
    :mod:`naiad.networks.opening`."""
    runtimes: ClassVar[tuple[Runtime, ...]] = ()
    """Libraries that can run the network, by which `naiad tune` tries it; others are refused."""
    weights: ClassVar[str | Path | None] = None
    """Default weights, a file or folder; relative to the file that defines the class."""
    max_batch_size: ClassVar[int] = 0
    """Maximum rows per request, for contracts with Triton's batch dimension. The first dimension of
    every tensor is then one name, such as ``"images"``, which ``config.pbtxt`` omits, as Triton
    expects. With 0 tensors are as declared. Naiad merges requests either way."""
    source: ClassVar[str] = ""
    """Python text that defines the class, where no file does."""
    files: ClassVar[tuple[str, ...]] = ()
    """Files that the hooks read, such as a vocabulary, relative to the file that defines the class;
    an exported model has copies."""
    made_by: ClassVar[str] = ""
    """Function that makes the class from the path of its weights, ``"package.module:function"``;
    "" for a class that is found by its name."""
    notice: ClassVar[str] = ""
    """Notice about these weights for every user; shown wherever the model is."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Fill in derived attributes, and refuse a class that contradicts itself."""
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__)
            cls.name = cls.name.lower()
        check_model_name(cls.name, cls.__name__)
        missing = [attr for attr in ("inputs", "outputs") if not hasattr(cls, attr)]
        if missing:
            raise SchemaError(f"{cls.__name__} must declare {' and '.join(missing)}")
        if isinstance(executor := getattr(cls, "executor", None), str):
            raise SchemaError(
                f"{cls.__name__}: executor is {executor!r}; pipelines now always run in worker "
                "processes: remove that line"
            )
        _derive(cls, "sample", "inputs")
        _derive(cls, "result", "outputs")
        for schema in ("inputs", "outputs", "sample", "result"):
            _refuse_other(cls, schema)
        try:
            if cls.prepare_threads < 0:
                raise SchemaError(f"prepare_threads is {cls.prepare_threads}; it must be 0 or more")
            check(service_of(cls), SchemaError)
            _refuse_scalars({**cls.inputs, **cls.outputs})
            check_schema(cls.inputs)
            check_schema(cls.sample)
            given = [*cls.inputs.values(), *cls.sample.values()]
            dims = tuple(tensor.names[0] for tensor in given if tensor.names)
            check_schema(cls.result, dims)
            check_index_width({**cls.sample, **cls.result})
            check_batch_dimension(cls)
            for name, tensor in cls.result.items():
                if tensor.axis is not None and tensor.dims[tensor.axis] not in {*dims, REQUESTS}:
                    raise SchemaError(
                        f"{name} is split along {tensor.dims[tensor.axis]!r}, which is not a "
                        f"dimension of sample; those are {', '.join(dict.fromkeys(dims))}"
                    )
        except SchemaError as error:
            raise SchemaError(f"{cls.__name__}: {error}") from None

    @classmethod
    def made_with(cls) -> Call | None:
        """Return the call that made this class; None: a class statement did."""
        return None

    @classmethod
    def contract(cls) -> Contract:
        """Return the schema and the limits for requests."""
        return Contract(dict(cls.inputs), cls.limit, cls.budget, cls.waiting)

    def __init__(self, weights: Path | None = None) -> None:
        """Use ``weights`` instead of the class's default.

        Raises:
            WeightsError: the file or folder does not exist.
        """
        self.weights_path = weights or default_weights(type(self))
        if self.weights_path is not None and not self.weights_path.exists():
            raise WeightsError(
                f"{self.weights_path}: weights for {self.name} not found; give a file or folder "
                "with --weights"
            )
        self.device = "cpu"

    def metadata(self) -> Mapping[str, str]:
        """Return facts about the model for its clients, stored with its config on the server."""
        return {"notice": self.notice} if self.notice else {}

    def labels(self) -> Mapping[str, Sequence[str]]:
        """Return the name of each position in an output's rows, by output.

        The names are stored with the model, for Triton's classification extension: a client that
        asks for the ``class_count`` best gets ``score:index:label`` strings.
        """
        return {}

    def save_weights(self, folder: Path) -> Path | None:
        """Write weights that the class makes itself into a folder; None: it has none."""
        return None

    def setup(self, device: str) -> None:
        """Load the model onto ``device`` (``"cpu"``, ``"cuda:0"``); once per worker process."""

    def prepare(self, request: Request) -> Arrays:
        """Turn one request into one sample: NumPy arrays as ``sample`` declares them."""
        return request.arrays

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Run the model on a merged batch; return tensors as ``result`` declares them."""
        raise PipelineError(f"{type(self).__name__} must define forward(self, batch)")

    def finish(self, result: Arrays) -> Arrays:
        """Turn one request's share of the result into NumPy arrays as ``outputs`` declares."""
        return result

    def example(self) -> Arrays:
        """Return a request that the model answers, for probes, ``naiad export --check`` and docs.

        By default every named dimension has size 8 (or ``max_batch_size`` if smaller) and values
        are random, within the schema.
        """
        size = min(8, self.max_batch_size or 8)
        return random_arrays(self.inputs, dict.fromkeys(named_dims(self.inputs), size), seed=0)


def _refuse_other(cls: type[Pipeline], schema: str) -> None:
    """Refuse a schema that is not a mapping of names to tensors."""
    given: Any = getattr(cls, schema)
    if not isinstance(given, Mapping):
        raise SchemaError(
            f"{cls.__name__}: {schema} is a {type(given).__name__}; it must be a dictionary of "
            'tensors by name, such as {"x": Tensor("float32", ("nodes", 8))}'
        )
    for name, tensor in cast("Mapping[Any, Any]", given).items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise SchemaError(
                f"{cls.__name__}: {schema} has {name!r}: {tensor!r}; it must have a Tensor by its "
                'name, such as "x": Tensor("float32", ("nodes", 8))'
            )


def _refuse_scalars(schema: Schema) -> None:
    for name, tensor in schema.items():
        if not tensor.dims:
            raise SchemaError(
                f"{name} has no dimensions, which Triton does not have; for one value per request "
                f'write Tensor("{tensor.dtype}", ("requests",))'
            )


def _derive(cls: type[Pipeline], schema: str, source: str) -> None:
    """Let a schema that a class and its bases leave out be the ``source``."""
    base: Any = super(cls, cls)
    left_out = schema not in cls.__dict__
    if left_out and getattr(base, schema, None) is getattr(base, source, None):
        setattr(cls, schema, getattr(cls, source))


def service_of(pipeline: type[Pipeline], *first: Any) -> ServiceSettings:
    """Return a pipeline's service settings: its class attributes.

    The objects in ``first``, which have some of the same attributes, take precedence.
    """
    values: dict[str, Any] = {}
    for one in fields(ServiceSettings):
        found = (getattr(source, one.name, None) for source in (*first, pipeline))
        values[one.name] = next((value for value in found if value is not None), None)
    return ServiceSettings(**values)


def make_pipeline(
    kind: type[Pipeline],
    weights: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    runtime: Runtime | None = None,
) -> Pipeline:
    """Make an instance with these weights and values for its own settings, for a runtime.

    Raises:
        WeightsError: the weights do not exist.
        InvalidInput: no such setting, the value has the wrong type, or the pipeline has no network
            that the runtime can run.
    """
    if runtime is not None and runtime not in kind.runtimes:
        able = f"choose {' or '.join(kind.runtimes)}, or " if kind.runtimes else ""
        raise InvalidInput(
            f"{kind.name} has no network that {runtime} can run; {able}leave runtime out"
        )
    made = kind(weights)
    if settings:
        vars(made)["settings"] = with_values(declared(made), settings, kind.name)
    if runtime is not None:
        vars(made)["runtime"] = runtime
    return made


def check_index_width(merged: Schema) -> None:
    """Refuse index dtypes too narrow for the positions in a batch.

    Raises:
        SchemaError: names the tensor, its dtype and what to do.
    """
    for name, tensor in merged.items():
        if tensor.index_into is not None and tensor.numpy.itemsize < 4:
            raise SchemaError(
                f"{name} is {tensor.dtype}, which cannot hold the positions in a merged batch; "
                "declare int32 or int64, or convert it in prepare() and declare that in sample"
            )


def check_batch_dimension(pipeline: type[Pipeline]) -> None:
    """Refuse a pipeline whose tensors lack the batch dimension that it declares.

    Raises:
        SchemaError: names the tensor and what its dims must be.
    """
    if pipeline.max_batch_size < 0:
        raise SchemaError(f"max_batch_size is {pipeline.max_batch_size}; it must be 0 or more")
    if not pipeline.max_batch_size:
        return
    tensors = {**pipeline.inputs, **pipeline.outputs}
    leading = next((d for t in tensors.values() for d in t.dims[:1] if isinstance(d, str)), "rows")
    for name, tensor in tensors.items():
        if tensor.dims[:1] != (leading,) or leading == REQUESTS or len(tensor.dims) < 2:
            raise SchemaError(
                f"{name}: dims={tensor.dims}; with max_batch_size={pipeline.max_batch_size} they "
                "must start with the batch's name, the same in every tensor, followed by at least "
                "one more, such as ('images', 299, 299, 3)"
            )


def random_arrays(schema: Schema, sizes: Mapping[str, int], seed: int) -> dict[str, Array]:
    """Return random arrays that the schema allows, for the given dimension sizes."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for name, tensor in schema.items():
        shape = tuple(
            1 if dim == REQUESTS else sizes[dim] if isinstance(dim, str) else dim
            for dim in tensor.dims
        )
        low = -1.0 if tensor.minimum is None else tensor.minimum
        high = low + 2 if tensor.maximum is None else tensor.maximum
        if tensor.dtype == BYTES:
            array = np.full(shape, b"example", dtype=object)
        elif tensor.categories is not None:
            array = rng.choice(list(tensor.categories), shape)
        elif tensor.unique:
            start = 0 if tensor.minimum is None else int(tensor.minimum)
            array = np.arange(start, start + int(np.prod(shape))).reshape(shape)
        elif targets := tensor.index_targets():
            rows = [max(1, 1 if t == REQUESTS else sizes.get(t, 1)) for t in targets]
            top = np.array(rows).reshape(-1, *[1] * (len(shape) - 1)) if len(rows) > 1 else rows[0]
            array = rng.integers(0, top, shape)
        elif tensor.numpy.kind == "f":
            array = rng.uniform(low, high, shape)
        elif tensor.numpy.kind == "b":
            array = rng.random(shape) < 0.5
        else:
            floor = 0 if tensor.minimum is None else int(low)
            array = rng.integers(floor, max(floor + 1, int(high) + 1), shape)
        arrays[name] = np.asarray(array).astype(tensor.numpy)
    return arrays


def default_weights(pipeline: type[Pipeline]) -> Path | None:
    """Return the absolute path of a class's default weights, or None if it declares none."""
    if pipeline.weights is None:
        return None
    return folder_of(pipeline) / pipeline.weights


def folder_of(pipeline: type[Pipeline]) -> Path:
    """Return the folder of the file that defines a class; in a session, the working directory."""
    if is_of_session(pipeline):
        return Path.cwd()
    return Path(inspect.getfile(pipeline)).resolve().parent


def load_pipeline(spec: str) -> type[Pipeline]:
    """Load the pipeline class of a spec: ``"package.module:Class"``, ``"path/file.py:Class"`` or a
    built-in name such as ``"nugraph3"``. In ``"package.module:function(argument)"`` the function is
    called with the argument, as a string, and returns the class.

    Raises:
        SchemaError: not found, or not a Pipeline; lists the available ones.
    """
    where, _, class_name = spec.partition(":")
    if not class_name and not where.endswith(".py"):
        from naiad.application import application, applications

        found = application(where)
        if found is None:
            names = ", ".join(app.name for app in applications())
            raise SchemaError(
                f"no pipeline {spec!r}; built in are: {names}. For your own, give a file and a "
                "class, such as my_model.py:MyModel"
            )
        return load_pipeline(found.pipeline)
    module = load_module(spec)
    if made := MADE.fullmatch(class_name):
        return getattr(module, made[1])(made[2])
    classes = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Pipeline) and value is not Pipeline
    }
    if not class_name and len(classes) == 1:
        return next(iter(classes.values()))
    if class_name not in classes:
        there = ", ".join(classes) or "none"
        raise SchemaError(f"{spec}: name a Pipeline class of {where} after a colon; it has {there}")
    return classes[class_name]


def spec_with_weights(spec: str, weights: Path | None) -> tuple[str, Path | None]:
    """Return a spec that includes the weights if it can, and the weights if it cannot.

    A class that is made from its weights (`Pipeline.made_by`) is made from these.
    """
    kind = load_pipeline(spec)
    if weights is None or not kind.made_by:
        return spec, weights
    return _made_spec(kind, weights), None


def with_weights(kind: type[Pipeline], weights: Path | None) -> type[Pipeline]:
    """Return the class for these weights: another one if it is made from them."""
    if weights is None or not kind.made_by:
        return kind
    return load_pipeline(_made_spec(kind, weights))


def _made_spec(kind: type[Pipeline], weights: Path) -> str:
    return f"{kind.made_by}({weights.resolve()})"
