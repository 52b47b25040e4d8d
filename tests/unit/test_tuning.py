import json

import pytest

from naiad.core.budget import Budget
from naiad.core.cost_model import Cost, Knee
from naiad.errors import InvalidInput
from naiad.tuning import Tuning, read_tuning

TUNING = Tuning(
    pipeline="degree",
    device="cpu",
    budget=Budget(nodes=300, requests=20),
    instances=3,
    threads=2,
    cost=Cost(0.001, {"nodes": 1e-5}, Knee("nodes", 200, 1e-5)),
    latency_target=0.05,
    study={"cores": 4},
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tuning.json"
    path.write_text(TUNING.to_json())
    return path


def test_a_tuning_survives_its_file(path):
    read = read_tuning(path, "degree", "cpu")
    assert read == TUNING
    assert dict(read.budget) == {"nodes": 300, "requests": 20}


def test_a_tuning_of_another_pipeline_is_refused(path):
    with pytest.raises(InvalidInput, match=r"model degree, not of gat; .*: naiad tune gat$"):
        read_tuning(path, "gat", "cpu")


def test_a_tuning_of_another_device_is_refused(path):
    with pytest.raises(InvalidInput, match=r"of device cpu, not of cuda; .*--device cuda:0"):
        read_tuning(path, "degree", "cuda:0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "cannot be used: format 99; this Naiad reads format 1"),
        ({"budget": {"nodes": 0}}, "nodes=0"),
        ({"budget": 7}, r"cannot be used: .* at `\$.budget`"),
        ({"instances": 0}, r"Expected `int` >= 1 - at `\$.instances`"),
        ({"cost": {"per": 3}}, r"Expected `object`, got `int` - at `\$.cost.per`"),
        ({"cost": {"fixed": -1, "per": {}, "knee": None}}, "at least 0"),
    ],
)
def test_an_invalid_tuning_is_refused(path, change, message):
    path.write_text(json.dumps(json.loads(TUNING.to_json()) | change))
    with pytest.raises(InvalidInput, match=message):
        read_tuning(path, "degree", "cpu")


def test_a_missing_or_invalid_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"nothing\.json cannot be read"):
        read_tuning(tmp_path / "nothing.json", "degree", "cpu")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InvalidInput, match=r"a\.json cannot be used"):
        read_tuning(tmp_path / "a.json", "degree", "cpu")
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(InvalidInput, match=r"a\.json cannot be used"):
        read_tuning(tmp_path / "a.json", "degree", "cpu")
