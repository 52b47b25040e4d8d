import time
from pathlib import Path

import numpy as np

from naiad.client import ModelInfo
from naiad.triton.log_entries import LogEvent
from naiad.triton.model_registry import ModelRegistry
from naiad.triton.repository import export

X = {"x": np.zeros(1, np.float32)}
A = ModelInfo("a", "1", "READY")
B = ModelInfo("b", "1", "READY")
PIPELINES = Path(__file__).parents[1] / "runtime" / "degree.py"


def test_a_model_that_was_unloaded_is_neither_ready_nor_missing():
    registry = ModelRegistry((), {"a": X, "b": X})
    registry.update([A, B])
    registry.update([A, ModelInfo("b", "1", "UNAVAILABLE", "unloaded")])
    assert (registry.ready, registry.missing) == (("a",), {})
    assert list(registry.probes) == ["a"]


def test_a_model_that_is_being_unloaded_is_not_missing():
    registry = ModelRegistry((), {})
    registry.update([A])
    registry.update([ModelInfo("a", "1", "UNLOADING")])
    assert (registry.ready, registry.missing) == ((), {})


def test_a_model_that_is_unloading_for_too_long_is_stuck():
    registry = ModelRegistry((), {})
    registry.update([ModelInfo("a", "1", "UNLOADING"), ModelInfo("a", "2", "READY")])
    assert registry.stuck(60) == ""
    time.sleep(0.02)
    registry.update([ModelInfo("a", "1", "UNLOADING"), ModelInfo("a", "2", "READY")])
    assert "version 1 of a has not unloaded" in registry.stuck(0.01)
    registry.update([ModelInfo("a", "2", "READY")])
    assert registry.stuck(0) == ""


def test_a_model_whose_new_version_fails_is_ready_as_long_as_the_old_one_is():
    failed = ModelInfo("a", "2", "UNAVAILABLE", "Internal: no")
    registry = ModelRegistry((), {})
    registry.update([A])
    registry.update([A, failed])
    assert (registry.ready, registry.missing) == (("a",), {})
    registry.update([failed])
    assert (registry.ready, registry.missing) == ((), {"a": "Internal: no"})
    assert registry.wanted == ("a",)
    registry.update([A])
    assert (registry.ready, registry.missing) == (("a",), {})


def test_a_failure_is_told_once_until_the_model_is_ready_or_gone():
    failed = LogEvent("failed", "no", "a")
    index = [A, ModelInfo("a", "2", "UNAVAILABLE", "Internal: no")]
    registry = ModelRegistry((), {})
    registry.update([A])
    assert registry.note(failed)
    # The instance that a reload of version 1 has replaced is unloaded late.
    assert registry.note(LogEvent("unloaded", "version 1", "a"))
    registry.update(index)
    assert not registry.note(failed)
    registry.note(LogEvent("ready", model="a"))
    assert registry.note(failed)
    registry.note(LogEvent("unloaded", "version 1", "a"))
    registry.update([ModelInfo("a", "1", "UNAVAILABLE", "unloaded")])
    assert registry.note(failed)


def test_a_model_that_never_was_served_is_not_missing():
    registry = ModelRegistry((), {})
    registry.update([A, ModelInfo("b", "1", "UNAVAILABLE", "Internal: no")])
    assert registry.wanted == ("a",)


def test_a_model_that_fails_again_as_before_is_no_news():
    registry = ModelRegistry((), {})
    loading, failed = LogEvent("loading", model="a"), LogEvent("failed", "no", "a")
    news = [registry.note(event) for event in (loading, failed, loading, failed)]
    assert news == [True, True, False, False]
    assert registry.note(LogEvent("failed", "another reason", "a"))
    assert registry.note(LogEvent("ready", model="a"))
    assert registry.note(failed)
    assert registry.changed == {"a"}


def test_a_model_is_loading_until_it_is_ready_or_has_failed():
    registry = ModelRegistry((), {})
    for model in ("a", "b", "c"):
        registry.note(LogEvent("loading", model=model))
    registry.note(LogEvent("ready", model="a"))
    registry.note(LogEvent("failed", "no", "b"))
    assert registry.loading == {"c"}


def test_a_pipeline_is_probed_by_the_example_of_the_version_that_was_loaded(tmp_path: Path):
    source = tmp_path / "mine.py"
    source.write_text(PIPELINES.read_text())
    model = export(f"{source}:Degree", tmp_path / "models")
    registry = ModelRegistry((tmp_path / "models",), {})
    registry.update([])
    index = [ModelInfo(model.name, "1", "READY")]
    registry.note(LogEvent("ready", model=model.name))
    registry.update(index)
    assert set(registry.probes[model.name]) == {"x", "edge_index"}
    changed = source.read_text().replace('"edge_index"', '"edges_of"')
    (model.path / "1" / "pipeline.py").write_text(changed)
    registry.update(index)
    assert set(registry.probes[model.name]) == {"x", "edge_index"}
    registry.note(LogEvent("ready", model=model.name))
    registry.update(index)
    assert set(registry.probes[model.name]) == {"x", "edges_of"}
