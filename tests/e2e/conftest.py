"""One Triton with the plain test models, for all end-to-end tests of a pytest process."""

from collections.abc import Iterator

import pytest
from tests.support.triton import FREE, MODELS, copy_model

from naiad.triton.server import Server


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with every model of tests/e2e/models, on free ports."""
    repository = tmp_path_factory.mktemp("triton") / "models"
    for model in sorted(path.parent.name for path in MODELS.glob("*/config.pbtxt")):
        copy_model(repository, model)
    with Server(repository, **FREE) as server:
        yield server
