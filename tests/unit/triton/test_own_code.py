"""Models that Triton's stub runs, and the Pythons for them."""

from __future__ import annotations

import re
import sys
import tarfile
from pathlib import Path

import pytest
from tests.support.triton import copy_model

import naiad
from naiad.errors import EngineError
from naiad.triton.model_config import read_model_config
from naiad.triton.own_code import (
    OwnCode,
    common_python,
    completes_itself,
    own_code_in,
    problem_of,
)
from naiad.triton.python_environment import PARAMETER, PythonEnvironment, running_python

NUMPY_2 = PythonEnvironment(Path("/two/bin/python3"), "3.11", "2.4.6", Path("/libpython.so"))
OLD = PythonEnvironment(Path("/old/bin/python3"), "3.10", "1.26.4", Path("/libpython.so"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A pipeline of Naiad's, a model.py of the user's, and a file."""
    folder = tmp_path / "models"
    naiad.export("simple", folder)
    copy_model(folder, "echo")
    (folder / "README").touch()
    return folder


def own(repository: Path, default: PythonEnvironment) -> tuple[list[OwnCode], dict[str, str]]:
    configs = [read_model_config(path.parent) for path in sorted(repository.glob("*/config.pbtxt"))]
    return own_code_in(configs, default)


def name_environment(repository: Path, value: str) -> None:
    config = repository / "echo" / "config.pbtxt"
    parameter = f'parameters {{ key: "{PARAMETER}" value {{ string_value: "{value}" }} }}\n'
    config.write_text(config.read_text() + parameter)


def test_only_a_model_py_of_the_user_s_own_needs_the_stub(repository: Path):
    assert own(repository, OLD) == ([OwnCode("echo", OLD, stub=False)], {})


def test_a_model_names_its_environment_as_triton_reads_it(repository: Path):
    name_environment(repository, "$$TRITON_MODEL_DIRECTORY/env")
    (repository / "echo" / "env").symlink_to(sys.prefix)
    ((model,), _) = own(repository, OLD)
    assert model.environment.executable == (repository / "echo" / "env" / "bin" / "python3")
    assert model.environment.version == running_python().version


def test_an_environment_in_an_archive_is_known_by_its_names(repository: Path, tmp_path: Path):
    site = tmp_path / "content" / "lib" / "python3.10" / "site-packages"
    (site / "numpy-1.26.4.dist-info").mkdir(parents=True)
    (site / "numpy-1.26.4.dist-info" / "METADATA").touch()
    (tmp_path / "content" / "lib" / "libpython3.10.so.1.0").touch()
    archive = tmp_path / "env.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(tmp_path / "content", arcname=".")
    name_environment(repository, str(archive))
    ((model,), _) = own(repository, NUMPY_2)
    assert (model.environment.version, model.environment.numpy) == ("3.10", "1.26.4")
    assert problem_of(model, "2.51.0", ["3.10"]) == ""


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("/no/such/folder", "/no/such/folder does not exist; put the environment there. `naiad"),
        ("$$TRITON_MODEL_DIRECTORY/env.tar.gz", "/echo/env.tar.gz does not exist"),
        ("{repository}", "has no bin/python3"),
        ("{repository}/README", "cannot be read"),
    ],
)
def test_what_is_no_environment_is_refused_by_file_and_field(
    repository: Path, value: str, complaint: str
):
    name_environment(repository, value.format(repository=repository))
    models, refused = own(repository, OLD)
    assert models == []
    (why,) = refused.values()
    assert re.search(rf'echo/config\.pbtxt: parameters\["{PARAMETER}"\]: .*{complaint}', why)


def test_a_python_that_gives_wrong_answers_is_refused_with_the_remedy():
    assert problem_of(OwnCode("good", OLD, stub=False), "2.51.0", ["3.10"]) == ""
    problem = problem_of(OwnCode("bad", NUMPY_2, stub=True), "2.51.0", ["3.10"])
    assert problem.startswith("its model.py needs Triton's Python stub: /two/bin")
    assert "naiad engine python-environment DIR" in problem


def test_only_a_model_py_completes_its_configuration(repository: Path):
    code = repository / "echo" / "1" / "model.py"
    assert not completes_itself(read_model_config(repository / "echo"))
    with code.open("a") as file:
        file.write("\n\nclass Own:\n    @staticmethod\n    def auto_complete_config(config): ...\n")
    assert completes_itself(read_model_config(repository / "echo"))
    assert not completes_itself(read_model_config(repository / "simple"))
    code.write_text("def (")
    assert not completes_itself(read_model_config(repository / "echo"))


def test_one_stub_is_for_all_models_that_bring_none():
    models = [OwnCode("a", OLD, stub=False), OwnCode("b", NUMPY_2, stub=True)]
    assert common_python(models, NUMPY_2) == OLD
    assert common_python([], NUMPY_2) == NUMPY_2
    with pytest.raises(
        EngineError, match=r"the same version of Python \(a: .*3.10, b: Python 3.11\)"
    ):
        common_python([models[0], OwnCode("b", NUMPY_2, stub=False)], OLD)
