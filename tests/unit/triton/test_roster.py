import time
from pathlib import Path

import numpy as np

from naiad.client import ModelInfo
from naiad.triton.logs import LogEvent
from naiad.triton.repository import export
from naiad.triton.roster import Roster

X = {"x": np.zeros(1, np.float32)}
A = ModelInfo("a", "1", "READY")
B = ModelInfo("b", "1", "READY")
PIPELINES = Path(__file__).parents[1] / "runtime" / "degree.py"


def test_a_model_that_was_unloaded_is_neither_ready_nor_missing():
    roster = Roster((), {"a": X, "b": X})
    roster.update([A, B])
    roster.update([A, ModelInfo("b", "1", "UNAVAILABLE", "unloaded")])
    assert (roster.ready, roster.missing) == (("a",), {})
    assert list(roster.probes) == ["a"]


def test_a_model_that_is_being_unloaded_is_not_missing():
    roster = Roster((), {})
    roster.update([A])
    roster.update([ModelInfo("a", "1", "UNLOADING")])
    assert (roster.ready, roster.missing) == ((), {})


def test_a_model_that_is_unloading_for_too_long_is_stuck():
    roster = Roster((), {})
    roster.update([ModelInfo("a", "1", "UNLOADING"), ModelInfo("a", "2", "READY")])
    assert roster.stuck(60) == ""
    time.sleep(0.02)
    roster.update([ModelInfo("a", "1", "UNLOADING"), ModelInfo("a", "2", "READY")])
    assert "version 1 of a has not been unloaded" in roster.stuck(0.01)
    roster.update([ModelInfo("a", "2", "READY")])
    assert roster.stuck(0) == ""


def test_a_model_whose_new_version_fails_is_ready_as_long_as_the_old_one_is():
    failed = ModelInfo("a", "2", "UNAVAILABLE", "Internal: no")
    roster = Roster((), {})
    roster.update([A])
    roster.update([A, failed])
    assert (roster.ready, roster.missing) == (("a",), {})
    roster.update([failed])
    assert (roster.ready, roster.missing) == ((), {"a": "Internal: no"})
    assert roster.wanted == ("a",)
    roster.update([A])
    assert (roster.ready, roster.missing) == (("a",), {})


def test_a_failure_is_told_once_until_the_model_is_ready_or_gone():
    failed = LogEvent("failed", "no", "a")
    index = [A, ModelInfo("a", "2", "UNAVAILABLE", "Internal: no")]
    roster = Roster((), {})
    roster.update([A])
    assert roster.note(failed)
    # The instance that a reload of version 1 has replaced is unloaded late.
    assert roster.note(LogEvent("unloaded", "version 1", "a"))
    roster.update(index)
    assert not roster.note(failed)
    roster.note(LogEvent("ready", model="a"))
    assert roster.note(failed)
    roster.note(LogEvent("unloaded", "version 1", "a"))
    roster.update([ModelInfo("a", "1", "UNAVAILABLE", "unloaded")])
    assert roster.note(failed)


def test_a_model_that_never_was_served_is_not_missing():
    roster = Roster((), {})
    roster.update([A, ModelInfo("b", "1", "UNAVAILABLE", "Internal: no")])
    assert roster.wanted == ("a",)


def test_a_model_that_fails_again_as_before_is_no_news():
    roster = Roster((), {})
    loading, failed = LogEvent("loading", model="a"), LogEvent("failed", "no", "a")
    news = [roster.note(event) for event in (loading, failed, loading, failed)]
    assert news == [True, True, False, False]
    assert roster.note(LogEvent("failed", "another reason", "a"))
    assert roster.note(LogEvent("ready", model="a"))
    assert roster.note(failed)
    assert roster.changed == {"a"}


def test_a_model_is_loading_until_it_is_ready_or_has_failed():
    roster = Roster((), {})
    for model in ("a", "b", "c"):
        roster.note(LogEvent("loading", model=model))
    roster.note(LogEvent("ready", model="a"))
    roster.note(LogEvent("failed", "no", "b"))
    assert roster.loading == {"c"}


def test_a_pipeline_is_probed_by_the_example_of_the_version_that_was_loaded(tmp_path: Path):
    source = tmp_path / "mine.py"
    source.write_text(PIPELINES.read_text())
    model = export(f"{source}:Degree", tmp_path / "models")
    roster = Roster((tmp_path / "models",), {})
    roster.update([])
    index = [ModelInfo(model.name, "1", "READY")]
    roster.note(LogEvent("ready", model=model.name))
    roster.update(index)
    assert set(roster.probes[model.name]) == {"x", "edge_index"}
    changed = source.read_text().replace('"edge_index"', '"edges_of"')
    (model.path / "1" / "pipeline.py").write_text(changed)
    roster.update(index)
    assert set(roster.probes[model.name]) == {"x", "edge_index"}
    roster.note(LogEvent("ready", model=model.name))
    roster.update(index)
    assert set(roster.probes[model.name]) == {"x", "edges_of"}
