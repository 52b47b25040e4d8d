"""A config in words: nothing that matters to a client or an operator is left out."""

import json
from pathlib import Path

import pytest
from tests.support.triton import copy_model
from typer.testing import CliRunner

from naiad.applications.medical.covid_ct.pipeline import CovidCt
from naiad.cli.main import app
from naiad.errors import EngineError
from naiad.triton.describe import describe, describe_pipeline
from naiad.triton.model_config import read_model_config
from naiad.triton.repository import export

DEGREE = Path(__file__).parents[1] / "runtime" / "degree.py"

RICH = """
backend: "onnxruntime" max_batch_size: 16
input { name: "image" data_type: TYPE_FP32 dims: [224, -1, 3] }
input { name: "hint" data_type: TYPE_STRING dims: 1 optional: true }
output { name: "score" data_type: TYPE_FP32 dims: 10 label_filename: "labels.txt" }
dynamic_batching {
  preferred_batch_size: [4, 8] max_queue_delay_microseconds: 2500
  default_queue_policy {
    max_queue_size: 32 timeout_action: REJECT default_timeout_microseconds: 500000
  }
}
instance_group { count: 2 kind: KIND_GPU gpus: [0, 1] }
instance_group { kind: KIND_CPU rate_limiter { resources { name: "cores" count: 4 } } }
version_policy { latest { num_versions: 2 } }
response_cache { enable: true }
parameters { key: "intra_op_thread_count" value { string_value: "1" } }
"""


def told(model: Path) -> dict[str, str]:
    return {s.title: "\n".join(s.lines) for s in describe(read_model_config(model))}


def test_a_rich_config_is_told_in_full(tmp_path: Path):
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "config.pbtxt").write_text(RICH)
    words = told(tmp_path / "rich")
    assert words["kind"].startswith("backend onnxruntime: an ONNX file")
    image, hint = words["inputs"].splitlines()
    assert image.startswith("image: FP32 [any, 224, any, 3]; the first size is the batch, 1 to 16")
    assert words["sizes"] == "sizes written as any (-1 in config.pbtxt) may differ between requests"
    assert "may be omitted" in hint
    assert "text or bytes of any length" in hint
    assert "its classes have names (labels.txt)" in words["outputs"]
    for part in (
        "batches of up to 16",
        "preferred batches: 4, 8",
        "waits up to 2.5 ms",
        "up to 32 requests wait",
        "longer than 0.5 s is refused",
    ):
        assert part in words["batching"]
    assert words["instances"].splitlines() == [
        "2 each on GPU 0, 1",
        "1 on the CPU; a run needs 4 of 'cores', with Triton's rate limiter on",
    ]
    assert words["versions"] == "the 2 newest are served"
    assert "--response-cache" in words["cache"]
    assert words["parameters"] == "intra_op_thread_count = 1"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("", "only the newest is served"),
        ("version_policy { all {} }", "all are served, the newest by default"),
        ("version_policy { specific { versions: [1, 3] } }", "only 1, 3 served"),
    ],
)
def test_the_policy_of_versions_is_told(tmp_path: Path, policy: str, words: str):
    model = copy_model(tmp_path, "identity")
    with (model / "config.pbtxt").open("a") as file:
        file.write(policy)
    assert words in told(model)["versions"]


def test_a_pipeline_is_told_with_budget_and_limit(tmp_path: Path):
    export(f"{DEGREE}:Degree", tmp_path, instances=2)
    result = CliRunner(env={"COLUMNS": "200"}).invoke(
        app, ["config", "degree", "--model-repository", str(tmp_path), "--json"]
    )
    words = {s["title"]: "\n".join(s["lines"]) for s in json.loads(result.output)}
    assert words["kind"].startswith("a Naiad pipeline")
    assert "x: FP32 [any, 2]" in words["inputs"]
    assert "Naiad merges concurrent requests" in words["batching"]
    assert words["instances"] == "2 workers share one queue"
    assert "one merged batch holds up to 100 nodes, 64 requests" in words["budget and limit"]
    assert "one request may hold up to 1,000 nodes" in words["budget and limit"]
    assert "x: (nodes, 2)" in words["dimensions"]
    assert "edge_index: (2, edges), positions in nodes" in words["dimensions"]


def test_a_model_that_is_not_there_is_told_with_those_that_are(tmp_path: Path):
    copy_model(tmp_path, "identity")
    arguments = ["config", "identidy", "--model-repository", str(tmp_path)]
    with pytest.raises(EngineError, match=r"it has identity; did you mean identity\?"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_what_a_pipeline_counts_and_lets_wait_is_told():
    found = {s.title: "\n".join(s.lines) for s in describe_pipeline(CovidCt())}
    assert "INPUT0: (volumes, 1), which counts bytes" in found["dimensions"]
    assert "one request may hold up to 12 volumes, 2,147,483,648 bytes" in found["budget and limit"]
    assert "the queue may hold up to 4,294,967,296 bytes" in found["budget and limit"]
