"""Files with a graph of PyTorch Geometric, as ``torch.save`` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, Final

import torch
from torch.serialization import safe_globals
from torch_geometric.data.data import BaseData, Data, DataEdgeAttr, DataTensorAttr
from torch_geometric.data.hetero_data import HeteroData
from torch_geometric.data.storage import BaseStorage, EdgeStorage, GlobalStorage, NodeStorage

from naiad.errors import InvalidInput

_SAFE: Final[list[Any]] = [
    *(Data, HeteroData, DataEdgeAttr, DataTensorAttr),
    *(BaseStorage, EdgeStorage, GlobalStorage, NodeStorage),
]
"""Classes that a saved graph consists of."""


def read_graph(file: Path | IO[bytes]) -> Any:
    """Return the graph in a file, which is read with ``weights_only=True``: no code is run.

    Raises:
        InvalidInput: the file cannot be read, or has something else.
    """
    name = f"{file}: " if isinstance(file, Path) else ""
    try:
        with safe_globals(_SAFE):
            found = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InvalidInput(f"{name}cannot be read ({error.strerror})") from None
    except Exception as error:  # a damaged pickle may raise anything
        said = str(error).partition("WeightsUnpickler error: ")
        reason = (said[2] or said[0]).strip().partition("\n")[0]
        raise InvalidInput(
            f"{name}not a Data or HeteroData that torch.save wrote; a subclass or Batch cannot be "
            f"read safely: save a plain one, or give the graph itself to naiad.pyg ({reason})"
        ) from None
    if not isinstance(found, BaseData):
        raise InvalidInput(f"{name}a {type(found).__name__}; it must be a Data or HeteroData")
    return found
