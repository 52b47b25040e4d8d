import textwrap

import numpy as np
import pytest

from naiad import Pipeline, Tensor, testing
from naiad.core.pipeline import load_pipeline, random_arrays
from naiad.core.schema import validate
from naiad.errors import SchemaError, WeightsError

SOURCE = textwrap.dedent(
    """
    import naiad
    from naiad import Tensor

    class {name}(naiad.Pipeline):
        inputs = {{"x": Tensor("float32", ("nodes",))}}
        outputs = {{"y": Tensor("float32", ("nodes",))}}

        def forward(self, batch):
            return {{"y": batch["x"]}}
    """
)


def declare(**members):
    schema = {"x": Tensor("float32", ("nodes",))}
    return type("Model", (Pipeline,), {"inputs": schema, "outputs": schema, **members})


def test_the_name_is_the_class_name_in_snake_case():
    schema = {"x": Tensor("float32", ("nodes",))}
    for cls, name in (("MyGATModel", "my_gat_model"), ("Gat", "gat"), ("NuGraph3", "nu_graph3")):
        made = type(cls, (Pipeline,), {"inputs": schema, "outputs": schema})
        assert made.name == name


def test_sample_and_result_are_inputs_and_outputs_unless_declared():
    model = declare()
    assert model.sample is model.inputs
    assert model.result is model.outputs


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"inputs": {"e": Tensor("int64", ("edges",), index_into="nodes")}}, "is not a dimension"),
        ({"inputs": {"e": Tensor("int16", ("e",), index_into="e")}}, "e is int16, which cannot"),
        ({"outputs": {"y": Tensor("float32", ("cells",))}}, "split along 'cells'"),
        ({"watchdog": 0}, "Model: watchdog is 0 s; it must be more"),
        ({"max_batch_size": -1}, "max_batch_size is -1; it must be 0 or more"),
        (
            {"max_batch_size": 8},
            r"x: dims=\('nodes',\); with max_batch_size=8 they must start with",
        ),
        ({"executor": "thread"}, "Model: executor is 'thread'; .* remove that line"),
        ({"queue_capacity": 0}, "Model: queue_capacity is 0; it must be at least 1"),
        ({"prepare_threads": -1}, "Model: prepare_threads is -1; it must be 0 or more"),
        ({"latency_target": 0.0}, "Model: latency_target is 0 s; it must be more than 0"),
        ({"max_queue_delay": -1}, "Model: max_queue_delay is -1 s; it must be 0 or more"),
    ],
)
def test_a_class_that_contradicts_itself_is_refused_when_it_is_defined(members, message):
    with pytest.raises(SchemaError, match=message):
        declare(**members)


@pytest.mark.parametrize("dims", [(3, "nodes"), ("requests", 3), ("cells", 3)])
def test_a_batch_dimension_is_the_same_in_every_tensor(dims):
    inputs = {"x": Tensor("float32", ("nodes", 3)), "y": Tensor("float32", dims)}
    with pytest.raises(SchemaError, match=r"y: dims=.* the same in every tensor"):
        declare(inputs=inputs, outputs={"z": inputs["x"]}, max_batch_size=8)


def test_the_example_of_a_batched_model_fits_its_batch():
    schema = {"x": Tensor("float32", ("rows", 3))}
    assert declare(inputs=schema, outputs=schema, max_batch_size=2)().example()["x"].shape == (2, 3)


def test_a_class_without_outputs_is_refused():
    with pytest.raises(SchemaError, match="Model must declare outputs"):
        type("Model", (Pipeline,), {"inputs": {"x": Tensor("float32", ("n",))}})


def test_a_pipeline_is_found_by_file_and_class(tmp_path):
    path = tmp_path / "my_model.py"
    path.write_text(SOURCE.format(name="One"))
    assert load_pipeline(f"{path}:One").name == "one"
    assert load_pipeline(str(path)) is load_pipeline(f"{path}:One")


def test_two_files_of_one_name_are_two_modules(tmp_path):
    for folder, name in (("a", "One"), ("b", "Two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pipeline.py").write_text(SOURCE.format(name=name))
    assert load_pipeline(f"{tmp_path}/a/pipeline.py:One").name == "one"
    assert load_pipeline(f"{tmp_path}/b/pipeline.py:Two").name == "two"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nugraf", "no pipeline 'nugraf'; built in are: bundle, covid_ct"),
        ("no_such_module:Model", "no module named 'no_such_module'"),
        ("naiad.core.schema:Model", "it has none"),
        ("/no/such/file.py:Model", "no such file"),
    ],
)
def test_what_is_not_there_is_said(spec, message):
    with pytest.raises(SchemaError, match=message):
        load_pipeline(spec)


def test_the_wrong_class_name_lists_the_right_ones(tmp_path):
    path = tmp_path / "my_model.py"
    path.write_text(SOURCE.format(name="One") + SOURCE.format(name="Two"))
    with pytest.raises(SchemaError, match="it has One, Two"):
        load_pipeline(f"{path}:Three")


def test_a_file_that_fails_to_import_can_be_mended_and_loaded(tmp_path):
    path = tmp_path / "my_model.py"
    path.write_text("raise RuntimeError('half written')")
    with pytest.raises(RuntimeError, match="half written"):
        load_pipeline(f"{path}:One")
    path.write_text(SOURCE.format(name="One"))
    assert load_pipeline(f"{path}:One").name == "one"


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"gone\.pt: weights for model not found"):
        declare()(tmp_path / "gone.pt")


def test_the_default_example_is_a_valid_request():
    inputs = {
        "x": Tensor("float32", ("nodes", 3)),
        "plane": Tensor("int32", ("nodes",), categories={0: "u", 2: "y"}),
        "id": Tensor("int32", ("nodes",), unique=True, minimum=5),
        "charge": Tensor("float32", ("nodes",), minimum=2, maximum=3),
        "flag": Tensor("bool", ("nodes",)),
        "edges": Tensor("int64", (2, "edges"), index_into="nodes"),
        "nexus": Tensor("int64", (2, "nexus"), index_into=("nodes", "points")),
        "points": Tensor("uint8", ("points",)),
        "text": Tensor("bytes", ("requests",)),
    }
    model = declare(inputs=inputs, outputs={"y": Tensor("float32", ("nodes",))})
    example = model().example()
    assert validate(inputs, example)["nodes"] == 8
    again = random_arrays(inputs, {"nodes": 8, "edges": 8, "nexus": 8, "points": 8}, seed=0)
    for name, array in example.items():
        np.testing.assert_array_equal(array, again[name])


def test_a_subclass_with_other_inputs_has_other_samples_and_results() -> None:
    rows = {"x": Tensor("float32", ("rows",))}
    base = type("Base", (Pipeline,), {"inputs": rows, "outputs": rows})
    other = {"y": Tensor("int64", ("rows",))}
    derived = type("Derived", (base,), {"inputs": other, "outputs": other})
    assert derived.sample == derived.result == other
    kept = type("Kept", (base,), {"inputs": other, "sample": rows})
    assert type("Below", (kept,), {"inputs": rows}).sample == rows


def test_a_tensor_without_dimensions_is_refused_with_what_to_write() -> None:
    scalar = {"x": Tensor("float32", ())}
    with pytest.raises(SchemaError, match=r'write Tensor\("float32", \("requests",\)\)'):
        type("Scalar", (Pipeline,), {"inputs": scalar, "outputs": scalar})


class Square(Pipeline):
    inputs = outputs = {"x": Tensor("float32", ("rows", "columns"))}
    arrays = "numpy"

    def forward(self, batch):
        return {"x": batch["x"] ** 2}


def test_a_second_dimension_with_a_name_may_differ_between_requests() -> None:
    shapes = [(3, 4), (2, 4), (2, 5)]
    asked = [{"x": np.full(shape, 3, np.float32)} for shape in shapes]
    answers = testing.run(Square, *asked)
    assert [answer["x"].shape for answer in answers] == shapes
    assert all((answer["x"] == 9).all() for answer in answers)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([], r"M: inputs is a list; it must be a dictionary of tensors"),
        ({"x": "float32"}, r"M: inputs has 'x': 'float32'; it must have a Tensor"),
        ({1: Tensor("float32", ("n",))}, r"M: inputs has 1: Tensor"),
    ],
)
def test_inputs_that_are_not_tensors_by_name_are_refused(inputs, told):
    with pytest.raises(SchemaError, match=told):
        type("M", (Pipeline,), {"inputs": inputs, "outputs": {"y": Tensor("float32", ("n",))}})
