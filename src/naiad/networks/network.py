"""A network that takes and returns NumPy arrays, whichever library runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from naiad.core.schema import Array
from naiad.core.settings import Runtime

EXTRAS: Final[Mapping[Runtime, str]] = {
    "torch": "torch",
    "onnxruntime": "onnx",
    "openvino": "openvino",
}
"""Extra of Naiad that has each library."""


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a network.

    Attributes:
        name: its name in the file; an output of a TorchScript file is ``OUTPUT__<number>``.
        dtype: its name in the KServe v2 protocol; None if the file does not say.
        shape: sizes, -1 for any, with the batch dimension; None if the file does not say.
        aliases: other names under which a config may refer to it, such as ``ARGS[0]``.
    """

    name: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and the others."""
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class Network:
    """A network on its device, ready to run; threads may call it concurrently.

    Attributes:
        runtime: the library that runs it.
        run: takes an array per input, in order, and returns one per output.
        inputs: in order; () if a torch module does not say.
        outputs: in order; () if a torch module does not say.
    """

    runtime: Runtime
    run: Callable[[Sequence[Array]], list[Array]]
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()

    def __call__(self, *arrays: Array) -> list[Array]:
        """Run the network on an array per input; return one per output."""
        return self.run(arrays)
