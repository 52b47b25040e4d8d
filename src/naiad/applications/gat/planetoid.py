"""The planetoid benchmark's files of Cora (Yang et al., arXiv:1603.08861).

They are Python pickles, which can run code when read, so ``pickle.load`` does not read them. This
reader knows only the few callables that make arrays, sparse matrices and dictionaries, and replaces
each by one that does only that. A file that asks for anything else is refused, and nothing in it is
run.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.gat.graphs import CitationGraph
from naiad.applications.gat.schema import FEATURES
from naiad.errors import InvalidInput

TOPICS: Final = (
    "Theory",
    "Reinforcement_Learning",
    "Genetic_Algorithms",
    "Neural_Networks",
    "Probabilistic_Methods",
    "Case_Based",
    "Rule_Learning",
)
"""Names of Cora's topics; the files only have their numbers."""

_NAME: Final = "cora"
_VALIDATION: Final = 500  # papers that the benchmark sets aside, after those to learn from
_LARGEST: Final = 1 << 28  # bytes of one file


def read_planetoid(folder: Path) -> CitationGraph:
    """Read ``ind.cora.{x,tx,allx,y,ty,ally,graph,test.index}`` with the benchmark's split.

    Raises:
        InvalidInput: a file is missing, asks to run code, or has unexpected contents.
    """
    y, allx, ally = (_load(folder, part) for part in ("y", "allx", "ally"))
    tx, ty, graph = (_load(folder, part) for part in ("tx", "ty", "graph"))
    test = _test_papers(folder)
    x = np.concatenate([_features(folder, "allx", allx), _features(folder, "tx", tx)])
    topics = np.concatenate([_topics(folder, "ally", ally), _topics(folder, "ty", ty)])
    train = np.arange(len(_topics(folder, "y", y)))
    known = len(x) - len(test)
    if len(topics) != len(x) or sorted(test) != list(range(known, len(x))):
        raise InvalidInput(f"{folder}: {len(x)} papers, {len(topics)} topics, {len(test)} for test")
    # The last papers are stored in another order than they are numbered in.
    order = np.arange(len(x))
    order[test] = np.arange(known, len(x))
    return CitationGraph(
        source="Cora (planetoid)",
        x=x[order],
        edge_index=_edges(folder, graph),
        classes=TOPICS,
        topics=topics[order],
        train=train,
        validation=np.arange(len(train), min(len(train) + _VALIDATION, known)),
        test=np.sort(test),
    )


def _features(folder: Path, part: str, found: Any) -> NDArray[np.float32]:
    values = getattr(found, "__dict__", {}) if isinstance(found, _Csr) else {}
    try:
        # SciPy has called it both ways.
        rows, columns = values.get("_shape") or values["shape"]
        starts, indices = np.asarray(values["indptr"]), np.asarray(values["indices"])
        if columns != FEATURES or len(starts) != rows + 1:
            raise ValueError(f"shape {[rows, columns]} in place of [papers, {FEATURES}]")
        x = np.zeros((len(starts) - 1, FEATURES), np.float32)
        x[np.repeat(np.arange(rows), np.diff(starts)), indices] = values["data"]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InvalidInput(f"{_path(folder, part)}: no sparse matrix of words ({error})") from None
    return x


def _topics(folder: Path, part: str, found: Any) -> NDArray[np.int64]:
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.shape[1] != len(TOPICS):
        raise InvalidInput(f"{_path(folder, part)}: no array [papers, {len(TOPICS)}] of topics")
    return np.where(found.any(axis=1), found.argmax(axis=1), -1)


def _edges(folder: Path, graph: Any) -> NDArray[np.int64]:
    try:
        pairs = [(int(paper), int(other)) for paper, others in graph.items() for other in others]
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidInput(f"{_path(folder, 'graph')}: no lists of neighbours ({error})") from None
    return np.unique(np.array(pairs, np.int64).reshape(-1, 2), axis=0).T


def _test_papers(folder: Path) -> NDArray[np.int64]:
    path = _path(folder, "test.index")
    try:
        return np.array([int(line) for line in path.read_text("ascii").split()], np.int64)
    except (OSError, ValueError, OverflowError) as error:
        raise InvalidInput(f"{path}: no list of papers ({error})") from None


def _load(folder: Path, part: str) -> Any:
    path = _path(folder, part)
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise InvalidInput(f"{path}: {size:,} bytes; Cora has far fewer")
        data = path.read_bytes()
        # C's unpickler makes room for as many memo entries as the largest number it meets.
        for opcode, argument, _ in pickletools.genops(data):
            if "PUT" in opcode.name and int(argument or 0) > len(data):
                raise ValueError("memo index out of range")
        # latin1: strings of Python 2, which hold the bytes of arrays.
        return _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None
    except OSError as error:
        raise InvalidInput(
            f"{path}: cannot be read ({error}); planetoid's folder has ind.{_NAME}.x, .tx, .allx, "
            ".y, .ty, .ally, .graph and .test.index"
        ) from None
    except Exception as error:  # a damaged pickle may raise anything
        raise InvalidInput(f"{path}: damaged ({type(error).__name__}: {error})") from error


def _path(folder: Path, part: str) -> Path:
    return folder / f"ind.{_NAME}.{part}"


class _Csr:
    """A stand-in for SciPy's sparse matrix that takes attributes and has no methods."""


def _new_array(kind: Any, shape: Any, dtype: Any) -> NDArray[Any]:
    """Make an empty array; the pickle then sets its shape and bytes, which NumPy compares."""
    return np.empty(0, np.uint8)


def _new_object(kind: Any, base: Any, state: Any) -> _Csr:
    if kind is not _Csr:
        raise InvalidInput("refused: it makes an object that is no sparse matrix")
    return _Csr()


def _new_dtype(name: Any, *_: Any) -> np.dtype[Any]:
    dtype = np.dtype(str(name))
    if dtype.hasobject:
        raise InvalidInput("refused: an array of objects")
    return dtype


def _encode(text: Any, encoding: Any) -> bytes:
    """Return bytes as Python 3 writes them in Python 2's pickles."""
    return str(text).encode("latin1")


_ALLOWED: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _new_array for core in ("core", "_core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _new_dtype,
    ("scipy.sparse.csr", "csr_matrix"): _Csr,
    ("scipy.sparse._csr", "csr_matrix"): _Csr,
    ("copyreg", "_reconstructor"): _new_object,
    ("copy_reg", "_reconstructor"): _new_object,
    ("builtins", "object"): object,
    ("__builtin__", "object"): object,
    ("builtins", "list"): list,
    ("__builtin__", "list"): list,
    ("collections", "defaultdict"): defaultdict,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise InvalidInput(
                f"refused: it asks for {module}.{name}, which no file of planetoid needs. "
                "Nothing of it was run"
            ) from None
