"""Model repositories of others, served as they are, by the real Triton."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.support.command import naiad_serve, shown_when_ready
from tests.support.full import full
from tests.support.repositories import EXAMPLES, environment, pack, packages
from tests.support.triton import FREE, copy_model, write_model

import naiad
from naiad.errors import EngineError
from naiad.triton.lint.repository import check_repository
from naiad.triton.python_environment import PARAMETER, default_python
from naiad.triton.server import Server

X = np.arange(5, dtype=np.float32)
REMEDY = re.compile(r"install|--device cpu|put the environment|ONNX|`naiad")

AUTO = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        given = [pb_utils.get_input_tensor_by_name(one, "x").as_numpy() for one in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", array)]) for array in given]

    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "x", "data_type": "TYPE_FP32", "dims": [-1]})
        config.add_output({"name": "y", "data_type": "TYPE_FP32", "dims": [-1]})
        config.set_max_batch_size(0)
        return config
"""
X_IN = 'input [ { name: "x" data_type: TYPE_FP32 dims: [ -1 ] } ]'
BATCH = "max_batch_size: 0"


def changed(name: str, before: str, after: str) -> Callable[[Path], None]:
    def change(repository: Path) -> None:
        file = copy_model(repository, name, "identity") / "config.pbtxt"
        text = file.read_text().replace('"identity"', f'"{name}"')
        assert before in text
        file.write_text(text.replace(before, after, 1))

    return change


def without_model_py(repository: Path) -> None:
    changed("no_model_py", BATCH, BATCH)(repository)
    (repository / "no_model_py" / "1" / "model.py").unlink()


def without_version(repository: Path) -> None:
    changed("no_version", BATCH, BATCH)(repository)
    (repository / "no_version" / "1").rename(repository / "no_version" / "v1")


def completing(repository: Path) -> None:
    model = write_model(repository, "auto", AUTO)
    (model / "config.pbtxt").write_text('name: "auto"\nbackend: "python"\n')
    model = write_model(repository, "bare", AUTO)
    (model / "config.pbtxt").unlink()


def parameter(value: str) -> str:
    return f'parameters: {{ key: "{PARAMETER}", value: {{ string_value: "{value}" }} }}'


def written(repository: Path) -> None:
    """Write one model for each way to be served, or to be refused."""
    for one in (
        changed("good", BATCH, BATCH),
        changed("no_backend", 'backend: "python"\n', ""),
        changed("no_input", f"{X_IN}\n", ""),
        changed("some_versions", BATCH, "version_policy { specific { versions: [1, 4] } }"),
        changed("cached", BATCH, "response_cache { enable: true }"),
        completing,
        changed("other_name", 'name: "other_name"', 'name: "another"'),
        changed("negative", BATCH, "max_batch_size: -1"),
        changed("no_dims", X_IN, 'input [ { name: "x" data_type: TYPE_FP32 } ]'),
        changed("zero", "dims: [ -1 ]", "dims: [ 0 ]"),
        changed("no_name", 'name: "x"', 'name: ""'),
        changed("no_type", "data_type: TYPE_FP32 ", ""),
        changed("misspelt", BATCH, "max_batch_sice: 0"),
        changed("preferred", BATCH, "dynamic_batching { preferred_batch_size: [8] }"),
        changed("no_labels", 'name: "y"', 'label_filename: "l.txt" name: "y"'),
        changed("gpu", "KIND_CPU", "KIND_GPU"),
        changed("magic", 'backend: "python"', 'backend: "magic"'),
        changed("no_such_version", BATCH, "version_policy { specific { versions: [4] } }"),
        changed("no_archive", BATCH, parameter("$$TRITON_MODEL_DIRECTORY/numl.tar.gz")),
        without_model_py,
        without_version,
    ):
        one(repository)
    write_model(repository, "no_class", "x = 1")
    write_model(repository, "garbled", "def (")
    write_model(repository, "needy", "import torchy")
    (repository / "notes").mkdir()


GOOD = {"good", "no_backend", "no_input", "some_versions", "cached", "auto", "bare"}


def refused_by_check(repository: Path, *, cpu: bool = False) -> dict[str, str]:
    report = check_repository(repository, cpu=cpu)
    errors = {
        name: "; ".join(one.message for one in findings if one.severity == "error")
        for name, findings in report.models.items()
    }
    return {name: messages for name, messages in errors.items() if messages}


def test_check_and_serve_refuse_the_same_models_and_the_others_are_served(tmp_path: Path):
    repository = tmp_path / "models"
    written(repository)
    refused = refused_by_check(repository)
    with Server(repository, **FREE, exit_on_error=False) as server:
        assert {*server.models} == GOOD
        assert server.failed.keys() == refused.keys()
        assert all(server.failed.values())
        client = server.client()
        for model in ("good", "auto", "bare"):
            assert np.array_equal(client.infer(model, x=X)["y"], X)
        assert str(repository / "no_model_py") in server.failed["no_model_py"]


def test_all_models_that_do_not_load_are_said(tmp_path: Path):
    repository = tmp_path / "models"
    written(repository)
    with pytest.raises(EngineError) as caught:
        Server(repository, **FREE, log_dir=tmp_path).start()
    first, *lines = str(caught.value).splitlines()
    named = {line.partition(":")[0] for line in lines if re.match(r"\w+: ", line)}
    there = {path.name for path in repository.iterdir()}
    assert named == there - GOOD
    # Triton takes every folder for a model, but not those that are nothing of the kind count.
    assert first == f"{len(there - GOOD)} of {len(there)} models did not load:"


@pytest.mark.parametrize("control", ["none", "explicit"])
def test_processes_that_die_do_not_stop_the_others(tmp_path: Path, control: str):
    repository = tmp_path / "models"
    copy_model(repository, "identity")
    write_model(repository, "dying", "import os\nos._exit(3)")
    without_model_py(repository)
    with naiad.serve(
        model_repository=repository,
        exit_on_error=False,
        model_control=control,
        load=["*"] if control == "explicit" else None,
        http_port=0,
        grpc_port=0,
        metrics_port=0,
    ) as server:
        assert server.models == ("identity",)
        assert server.failed.keys() == {"dying", "no_model_py"}


def test_the_command_serves_the_others_if_asked_in_triton_s_spelling(tmp_path: Path):
    repository = tmp_path / "models"
    copy_model(repository, "identity")
    write_model(repository, "needy", "import torchy")
    for option in ("--exit-on-error=false", "--triton-option=--exit-on-error=false"):
        with naiad_serve("--model-repository", repository, option) as command:
            shown = shown_when_ready(command)
            command.send_signal(signal.SIGINT)
            _, told = command.communicate(timeout=60)
        assert "identity" in shown
        assert "not served: needy: ModuleNotFoundError: No module named 'torchy'" in told


SHOW = """
import numpy as np
import triton_python_backend_utils as pb_utils
import ours

class TritonPythonModel:
    def execute(self, requests):
        y = pb_utils.Tensor("y", np.array([ours.VALUE], np.float32))
        return [pb_utils.InferenceResponse([y]) for _ in requests]
"""


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    folder = packages(tmp_path / "packages", "ours")
    (folder / "ours" / "__init__.py").write_text("VALUE = 7\n")
    return folder


def shown(server: Server) -> float:
    return server.client().infer("show", x=X)["y"][0]


def test_packages_on_pythonpath_reach_a_model_py(
    tmp_path: Path, ours: Path, monkeypatch: pytest.MonkeyPatch
):
    repository = tmp_path / "models"
    write_model(repository, "show", SHOW)
    assert "1/model.py imports ours, which" in refused_by_check(repository)["show"]
    monkeypatch.setenv("PYTHONPATH", str(ours), prepend=":")
    assert refused_by_check(repository) == {}
    with Server(repository, **FREE) as server:
        assert shown(server) == 7


@pytest.mark.parametrize("packed", [True, False])
def test_a_model_py_runs_in_the_archive_or_the_folder_of_its_config(tmp_path: Path, packed: bool):
    model = write_model(tmp_path / "models", "show", SHOW)
    where = tmp_path / "env" if packed else model / "env"
    made = environment(where, "ours", python=default_python().executable.parents[1])
    site = next(made.glob("lib/python3*/site-packages"))
    (site / "ours" / "__init__.py").write_text("VALUE = 8\n")
    if packed:
        pack(made, model / "env.tar.gz")
    name = "env.tar.gz" if packed else "env"
    config = model / "config.pbtxt"
    config.write_text(config.read_text() + parameter(f"$$TRITON_MODEL_DIRECTORY/{name}"))
    assert refused_by_check(tmp_path / "models") == {}
    with Server(tmp_path / "models", **FREE) as server:
        assert shown(server) == 8


def test_a_model_for_a_gpu_runs_on_the_cpu_if_asked(tmp_path: Path):
    repository = tmp_path / "models"
    changed("gpu", "KIND_CPU", "KIND_GPU gpus: [ 0 ]")(repository)
    before = (repository / "gpu" / "config.pbtxt").read_text()
    with pytest.raises(EngineError, match=r"gpu: .* KIND_GPU, but no GPU .*--device cpu serves"):
        naiad.serve(model_repository=repository, **FREE)
    assert "--device cpu" in refused_by_check(repository)["gpu"]
    assert refused_by_check(repository, cpu=True) == {}
    with naiad.serve(model_repository=repository, device="cpu", **FREE) as server:
        assert np.array_equal(server.client().infer("gpu", x=X)["y"], X)
        (group,) = server.client().config("gpu")["instance_group"]
        assert group["kind"] == "KIND_CPU"
    with naiad_serve("--model-repository", repository, "--device", "cpu") as command:
        assert "gpu" in shown_when_ready(command)
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=60)
    assert (repository / "gpu" / "config.pbtxt").read_text() == before
    with pytest.raises(EngineError, match="leave out model control poll"):
        naiad.serve(model_repository=repository, device="cpu", model_control="poll", **FREE)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Path]]:
    """Lay out the four examples' repositories."""
    root = tmp_path_factory.mktemp("examples")
    return {name: lay_out(root / name) for name, lay_out in EXAMPLES.items()}


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_model_of_an_example_is_served_or_refused_with_a_remedy(
    examples: Mapping[str, list[Path]], example: str
):
    for repository in examples[example]:
        refused = refused_by_check(repository)
        there = {path.name for path in repository.iterdir()}
        for message in refused.values():
            assert REMEDY.search(message), message
        if refused.keys() == there:
            with pytest.raises(EngineError) as caught:
                Server(repository, **FREE, exit_on_error=False).start()
            assert all(f"{name}: " in str(caught.value) for name in there)
            continue
        with Server(repository, **FREE, exit_on_error=False) as server:
            assert server.failed.keys() == refused.keys()
            assert {*server.models} == there - refused.keys()


@full
def test_every_model_of_the_examples_is_served_once_it_has_what_it_needs(
    examples: Mapping[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    python = default_python().executable.parents[1]
    archive = pack(
        environment(tmp_path / "env", "nugraph", "monai", python=python), tmp_path / "env.tar.gz"
    )
    needed = packages(tmp_path / "packages", "nugraph", "monai")
    monkeypatch.setenv("PYTHONPATH", str(needed), prepend=":")
    for repository in (one for found in examples.values() for one in found):
        for model in sorted(repository.iterdir()):
            if found := re.search(r"DIRECTORY/(.+)\"", (model / "config.pbtxt").read_text()):
                (model / found[1]).symlink_to(archive)
        refused = refused_by_check(repository, cpu=True)
        with Server(repository, **FREE, exit_on_error=False, cpu=True) as server:
            assert server.failed.keys() == refused.keys()
            # TensorFlow is an extra.
            configs = {m: (repository / m / "config.pbtxt").read_text() for m in refused}
            assert all("tensorflow" in text for text in configs.values())
            client = server.client()
            for model in {"mednist_class", "monai_covid"} & {*server.models}:
                answer = client.infer(model, INPUT0=np.array([[b"jpeg"]], object))
                assert answer["OUTPUT0"].tolist() == [[b"CPU"]]
