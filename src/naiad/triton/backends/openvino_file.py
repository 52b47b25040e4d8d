"""Model files of OpenVINO's own format, ``.xml`` with its ``.bin``, and ONNX, run by OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from naiad.core.schema import Array
from naiad.errors import RepositoryError, WeightsError
from naiad.networks.network import Network
from naiad.networks.openvino_networks import open_openvino
from naiad.triton.backends.signature import Signature


@dataclass(frozen=True, slots=True)
class OpenVinoFile:
    """A loaded model file.

    Attributes:
        signature: its inputs and outputs.
        network: the model.
    """

    signature: Signature
    network: Network

    def call(self, arrays: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        """Run the model on arrays by input name; return an array per wanted output."""
        inputs, outputs = self.network.inputs, self.network.outputs
        found = self.network(*(arrays[_of(port.names, arrays)] for port in inputs))
        places = {name: number for number, port in enumerate(outputs) for name in port.names}
        return [found[places[name]] for name in wanted]


def load_openvino(file: Path, threads: int | None = None) -> OpenVinoFile:
    """Load a ``.xml`` or ``.onnx`` file; ``threads`` are by default those of the process.

    Raises:
        RepositoryError: the file cannot be loaded; says why.
        MissingExtra: OpenVINO is not installed.
    """
    try:
        network = open_openvino(file, threads)
    except WeightsError as error:
        raise RepositoryError(str(error)) from error
    return OpenVinoFile(Signature("openvino", network.inputs, network.outputs), network)


def _of(names: Sequence[str], arrays: Mapping[str, Array]) -> str:
    """Return the one of a tensor's names by which the config calls it."""
    return next(name for name in names if name in arrays)
