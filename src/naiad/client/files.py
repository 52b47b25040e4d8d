"""A model that takes files as they are, for people: files in, an answer for each out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from naiad.client.client import ModelClient
from naiad.client.ordered_map import ask_many
from naiad.core.schema import Arrays
from naiad.errors import InvalidInput

File: TypeAlias = Path | str | bytes
"""A file: its path, or what is in it."""

Answer = TypeVar("Answer")


class FilesClient(ABC, Generic[Answer]):
    """Asks a model that gives an answer for each file of a request."""

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model

    def __repr__(self) -> str:
        """The class and the server."""
        return f"{type(self).__name__}({self.model!r})"

    def notice(self) -> str:
        """What every user must know of the served weights."""
        return self.model.notice()

    @abstractmethod
    def read(self, path: Path) -> bytes:
        """The bytes of a file. Raises InvalidInput where it cannot be read."""

    @abstractmethod
    def request(self, files: Sequence[bytes]) -> Arrays:
        """The tensors of a request for some files."""

    @abstractmethod
    def answers(self, outputs: Arrays) -> list[Answer]:
        """The answer for each file of a request, of its outputs."""

    def infer(self, files: Sequence[File], *, timeout: float | None = None) -> list[Answer]:
        """Ask about some files in one request; one that is refused fails them all.

        Args:
            files: by path, or the bytes of files.
            timeout: seconds, instead of the client's.

        Raises:
            InvalidInput: a file cannot be read, or is refused; says which and why.
            NaiadError: as of `naiad.Client`.
        """
        if isinstance(files, (str, bytes, Path)):
            raise InvalidInput(f"{files!r:.60} is one file; give a list of files")
        whole = [file if isinstance(file, bytes) else self.read(Path(file)) for file in files]
        return self.answers(self.model.infer(self.request(whole), timeout=timeout))

    def infer_many(
        self,
        files: Iterable[File],
        *,
        concurrency: int = 4,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Any]:
        """Ask about many files, one per request; yields the answers in order, as they come.

        Args:
            files: taken as they are needed, so there may be any number of them.
            concurrency: how many are with the server at once, which batches them.
            progress: show a progress bar on standard error.
            timeout: seconds per file, instead of the client's.
            on_error: "raise" ends at the first file that fails; "return" yields its error in its
                place and goes on.
        """
        return ask_many(
            lambda file: self.infer([file], timeout=timeout)[0],
            files,
            label=self.model.name,
            concurrency=concurrency,
            progress=progress,
            on_error=on_error,
        )
