"""Exported models with configs give the same bits as the file run by hand."""

import shutil
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from tests.support.exported import (
    AddSub,
    ByName,
    Dense,
    Neighbours,
    Shout,
    dense_onnx,
    echo_onnx,
    graph,
    load_script,
    save_export,
    script,
    trace,
)

from naiad.errors import PipelineError, RepositoryError
from naiad.networks import openvino_networks
from naiad.networks.network import Port
from naiad.triton.backends.models import load_model, onnx_options
from naiad.triton.backends.signature import read_signature

GRAPH = """backend: "pytorch"
input [ { name: "edgeindex__1" data_type: TYPE_INT64 dims: [2, -1] },
        { name: "x__0" data_type: TYPE_FP32 dims: [-1, 8] } ]
output { name: "logits__0" data_type: TYPE_FP32 dims: [-1, 3] }
"""
DENSE = """backend: "BACKEND" max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [8] }
output { name: "y" data_type: TYPE_FP32 dims: [3] }
"""


@pytest.mark.parametrize("filename", ["model.pt", "model.pt2"])
def test_a_graph_model_gives_the_same_bits_as_its_file(write, filename):
    def save(path):
        keep = save_export if filename.endswith("2") else trace
        keep(Neighbours(), graph(5, 9), path)

    model = load_model(write(GRAPH, save, filename), 1)
    x, edges = graph(40, 200, seed=3)
    given = {"x__0": x.numpy(), "edgeindex__1": edges.numpy()}
    path = model.config.model_file(1)
    if filename.endswith("2"):
        by_hand = torch.export.load(path).module()(x, edges)
    else:
        by_hand = load_script(path)(x, edges)
    assert np.array_equal(model(given)["logits__0"], by_hand.detach().numpy())


class Nested(torch.nn.Module):
    def forward(self, x, options, *, scale):
        return {"AAA": x * scale, "BBB": (x + options["key"], x)}


NESTED = """backend: "pytorch"
input [ { name: "KWARGS[scale]" data_type: TYPE_FP32 dims: [4] },
        { name: "ARGS[1][key]" data_type: TYPE_FP32 dims: [3, 4] },
        { name: "ARGS[0]" data_type: TYPE_FP32 dims: [3, 4] } ]
output [ { name: "RESULT[BBB][0]" data_type: TYPE_FP32 dims: [3, 4] },
         { name: "RESULT[AAA]" data_type: TYPE_FP32 dims: [3, 4] } ]
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="AOTInductor compiles C++")
def test_a_package_gives_the_same_bits_as_its_file(write):
    x, key, scale = torch.rand(3, 4), torch.rand(3, 4), torch.rand(4)

    def save(path):
        program = torch.export.export(Nested(), (x, {"key": key}), {"scale": scale})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Inductor's own
            torch._inductor.aoti_compile_and_package(program, package_path=str(path))

    model = load_model(write(NESTED, save, "model.pt2"), 1)
    assert model.file.signature.kind == "aotinductor"
    given = {"ARGS[0]": x, "ARGS[1][key]": key, "KWARGS[scale]": scale}
    answer = model({name: tensor.numpy() for name, tensor in given.items()})
    package = torch._inductor.aoti_load_package(str(model.config.model_file(1)))
    by_hand = package(x, {"key": key}, scale=scale)
    assert np.array_equal(answer["RESULT[AAA]"], by_hand["AAA"].numpy())
    assert np.array_equal(answer["RESULT[BBB][0]"], by_hand["BBB"][0].numpy())


@pytest.mark.parametrize("flag", ["INFERENCE_MODE", "DISABLE_OPTIMIZED_EXECUTION", "DISABLE_CUDNN"])
@pytest.mark.parametrize("value", ["true", "false"])
def test_switches_do_not_change_the_result(write, flag, value):
    text = DENSE.replace("BACKEND", "pytorch").replace('"y"', '"y__0"')
    text += f'parameters {{ key: "{flag}" value {{ string_value: "{value}" }} }}'
    model = load_model(write(text, lambda path: script(Dense(), path)), 1)
    x = np.random.default_rng(0).random((4, 8), np.float32)
    with torch.no_grad():
        assert np.array_equal(model({"x": x})["y__0"], Dense()(torch.from_numpy(x)).numpy())


def test_strings_are_lists_for_torch(write):
    text = """backend: "pytorch" input { name: "words" data_type: TYPE_STRING dims: [-1] }
    output { name: "loud__0" data_type: TYPE_STRING dims: [-1] }"""
    model = load_model(write(text, lambda path: script(Shout(), path)), 1)
    result = model({"words": np.array([b"a", b"zw"], dtype=object)})
    assert result["loud__0"].tolist() == [b"A", b"ZW"]


def test_dictionaries_are_bound_by_key(write):
    text = 'backend: "pytorch"' + "".join(
        f'{kind} {{ name: "{name}" data_type: TYPE_INT64 dims: [2] }}'
        for kind, name in (("input", "b"), ("input", "a"), ("output", "product"), ("output", "sum"))
    )
    model = load_model(write(text, lambda path: script(ByName(), path)), 1)
    result = model({"a": np.array([1, 2]), "b": np.array([3, 4])})
    assert {name: array.tolist() for name, array in result.items()} == {
        "sum": [4, 6],
        "product": [3, 8],
    }


def test_onnx_gives_the_same_bits_as_its_file(write):
    text = DENSE.replace("BACKEND", "onnxruntime")
    model = load_model(write(text, dense_onnx, "model.onnx"), 1)
    x = np.random.default_rng(0).random((5, 8), np.float32)
    session = onnxruntime.InferenceSession(model.config.model_file(1))
    assert np.array_equal(model({"x": x})["y"], session.run(None, {"x": x})[0])


def test_onnx_has_strings_and_gives_only_what_the_config_has(write):
    text = """backend: "onnxruntime" input { name: "words" data_type: TYPE_STRING dims: [-1] }
    input { name: "numbers" data_type: TYPE_INT64 dims: [4] }
    output { name: "echoed" data_type: TYPE_STRING dims: [-1] }"""
    model = load_model(write(text, echo_onnx, "model.onnx"), 1)
    words = np.array([b"one", "zwölf".encode(), b""], dtype=object)
    result = model({"words": words, "numbers": np.arange(4)})
    assert list(result) == ["echoed"]
    assert result["echoed"].tolist() == words.tolist()


def test_onnx_options_have_the_names_of_nvidia_s_backend(write):
    values = {
        "intra_op_thread_count": "2",
        "inter_op_thread_count": "3",
        "execution_mode": "1",
        "enable_mem_arena": "0",
        "enable_mem_pattern": "0",
        "session.set_denormal_as_zero": "1",
    }
    text = DENSE.replace("BACKEND", "onnxruntime") + "optimization { graph { level: 2 } }"
    for key, value in values.items():
        text += f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
    config = write(text, dense_onnx, "model.onnx")
    options = onnx_options(config)
    assert (options.intra_op_threads, options.inter_op_threads, options.parallel) == (2, 3, True)
    assert (options.graph_level, options.arena, options.memory_pattern) == (2, False, False)
    assert options.entries == {"session.set_denormal_as_zero": "1"}
    assert load_model(config, 1)({"x": np.ones((1, 8), np.float32)})["y"].shape == (1, 3)


@pytest.mark.parametrize("file", ["model.onnx", "model.xml"])
def test_openvino_answers_as_the_onnx_file_does(write, file):
    text = DENSE.replace("BACKEND", "openvino")
    config = write(text, lambda path: ir(path) if path.suffix == ".xml" else dense_onnx(path), file)
    x = np.random.default_rng(0).random((5, 8), np.float32)
    source = onnxruntime.InferenceSession(dense_onnx(config.path / "net.onnx"))
    answer = load_model(config, 1)({"x": x})["y"]
    np.testing.assert_allclose(answer, source.run(None, {"x": x})[0], rtol=1e-5)
    signature = read_signature(config.model_file(1), config)
    assert signature.inputs == (Port("x", "FP32", (-1, 8)),)


def ir(path):
    openvino = openvino_networks.library()
    model = openvino.Core().read_model(dense_onnx(path.with_name("net.onnx")))
    openvino.save_model(model, path, compress_to_fp16=False)


@pytest.mark.parametrize(
    ("change", "device", "message"),
    [
        ('parameters { key: "HINT_BF16" value { string_value: "YES" } }', "cpu", "HINT_BF16"),
        ("", "cuda:0", "OpenVINO models run on the CPU here"),
        ('input { name: "z" data_type: TYPE_FP32 dims: [8] }', "cpu", "the model takes 1: x"),
    ],
)
def test_openvino_refuses_what_it_would_not_do(write, change, device, message):
    config = write(DENSE.replace("BACKEND", "openvino") + change, dense_onnx, "model.onnx")
    with pytest.raises(RepositoryError, match=message):
        load_model(config, 1, device)


def test_a_damaged_file_is_refused_by_openvino_in_one_line(write):
    text = DENSE.replace("BACKEND", "openvino")
    config = write(text, lambda path: path.write_text("nonsense"), "model.xml")
    with pytest.raises(RepositoryError, match=r"model\.xml cannot be loaded by OpenVINO: [^\n]+\Z"):
        load_model(config, 1)


def test_an_output_of_another_dtype_than_the_config_says_is_an_error(write):
    text = GRAPH.replace('logits__0" data_type: TYPE_FP32', 'logits__0" data_type: TYPE_FP64')
    config = write(text, lambda path: trace(Neighbours(), graph(5, 9), path))
    x, edges = graph(4, 4)
    with pytest.raises(
        PipelineError, match=r"logits__0 as float32.*output\[0\].data_type is TYPE_"
    ):
        load_model(config, 1)({"x__0": x.numpy(), "edgeindex__1": edges.numpy()})


def test_a_failure_says_what_happened_last(write):
    text = "backend: 'pytorch'" + "".join(
        f'{kind} {{ name: "{name}" data_type: TYPE_INT32 dims: [-1] }}'
        for kind, name in (("input", "a"), ("input", "b"), ("output", "o__0"))
    )
    model = load_model(write(text, lambda path: script(AddSub(), path)), 1)
    with pytest.raises(PipelineError, match=r"^m failed: .*size of tensor a \(2\)"):
        model({"a": np.zeros(2, np.int32), "b": np.zeros(3, np.int32)})


@pytest.mark.parametrize(
    "more",
    [
        "sequence_batching { state { input_name: 'a' output_name: 'b' } }",
        "model_transaction_policy { decoupled: true }",
        "batch_input { kind: BATCH_ELEMENT_COUNT target_name: 'a' }",
    ],
)
def test_what_these_backends_lack_is_refused(write, more):
    config = write(DENSE.replace("BACKEND", "pytorch") + more, lambda path: script(Dense(), path))
    field = more.partition(" ")[0]
    with pytest.raises(RepositoryError, match=rf"config.pbtxt: {field}.* NVIDIA's backend"):
        load_model(config, 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_instance_without_a_gpu_is_refused(write):
    config = write(DENSE.replace("BACKEND", "pytorch"), lambda path: script(Dense(), path))
    with pytest.raises(RepositoryError, match=r"instance_group.kind is KIND_GPU.*KIND_CPU"):
        load_model(config, 1, "cuda:0")
