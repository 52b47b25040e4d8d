"""Configs, networks and predictions of many forms; each is as MONAI's own commands take it."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.applications.medical.bundle.bundles import (
    CLASSIFICATION,
    CLASSIFIED,
    INVERTING,
    LABELS,
    LOADING,
    SEGMENTATION,
    SEGMENTED,
    UNET,
    compose,
    metadata,
    network,
    picture,
    picture_metadata,
    scan,
    segmentation_bundle,
    write_bundle,
)
from tests.unit.applications.medical.bundle.monai_run import run_by_monai, saved
from tests.unit.applications.medical.bundle.test_pipeline import ask, runner, the_map

from naiad.applications.medical.bundle.kinds import PICTURE
from naiad.applications.medical.bundle.pipeline import bundle
from naiad.core.pipeline import make_pipeline
from naiad.errors import NaiadError, PipelineError, RepositoryError
from naiad.runtime.runner import Runner

pytestmark = pytest.mark.slow

SOFTMAX, _, ARGMAX, _ = SEGMENTATION["postprocessing"]["transforms"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The label map of the usual bundle."""
    path = tmp_path_factory.mktemp("b") / "usual"
    return the_map(ask(runner(segmentation_bundle(path, torchscript=False)), scan()))


def with_config(path: Path, changed: dict[str, Any], **others: Any) -> Path:
    """Replace entries of the inference config of a bundle, None to drop them; write others."""
    place = path / "configs" / "inference.json"
    config = {**json.loads(place.read_text()), **changed}
    place.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    for name, content in others.items():
        (path / "configs" / f"{name}.json").write_text(json.dumps(content))
    return path


def test_references_to_metadata_macros_and_a_common_config_are_resolved(
    tmp_path: Path, expected: np.ndarray
) -> None:
    path = segmentation_bundle(tmp_path / "b", torchscript=False)
    with_config(
        path,
        {
            "preprocessing": "%configs/parts.json::before",  # from the bundle, as by MONAI
            "postprocessing": "%parts.json#after",  # from the configs, with the old separator
            "inferer": None,
            "network_def": {
                **UNET,
                "out_channels": "$len(@_meta_::network_data_format::outputs::pred::channel_def)",
            },
            "inferer::overlap": 0.5,  # overrides one entry of the common config
        },
        parts={"before": SEGMENTATION["preprocessing"], "after": SEGMENTATION["postprocessing"]},
        common={
            "network_def": {"_target_": "Overridden"},
            "inferer": {
                **SEGMENTATION["inferer"],
                "roi_size": "@_meta_::network_data_format::inputs::image::spatial_shape",
                "overlap": 0.9,
            },
        },
    )
    np.testing.assert_array_equal(the_map(ask(runner(path), scan())), expected)


def test_one_file_may_have_a_common_config(tmp_path: Path, expected: np.ndarray) -> None:
    from monai.data.torchscript_utils import save_net_with_metadata

    path = with_config(segmentation_bundle(tmp_path / "b"), {"inferer": None})
    inference = (path / "configs" / "inference.json").read_bytes()
    common = json.dumps({"inferer": SEGMENTATION["inferer"]}).encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        save_net_with_metadata(
            torch.jit.script(network(UNET)),
            str(tmp_path / "phantoms.ts"),
            meta_values=json.loads((path / "configs" / "metadata.json").read_text()),
            more_extra_files={"inference.json": inference, "common.json": common},
        )
    np.testing.assert_array_equal(the_map(ask(runner(tmp_path / "phantoms.ts"), scan())), expected)


class Structured(torch.nn.Module):
    """A network that returns more than its scores."""

    def __init__(self, scores: torch.nn.Module) -> None:
        super().__init__()
        self.scores = scores


class AsDict(Structured):
    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.scores(image)
        return {"edges": scores[:, :1], "seg": scores}


class AsTuple(Structured):
    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = self.scores(image)
        return scores[:, :1], scores


def save_network(path: Path, made: torch.nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(made).save(str(path / "models" / "model.ts"))


FLATTENED = {"_target_": "FlattenSubKeysd", "keys": "pred", "sub_keys": ["seg"]}
RENAMED = {"_target_": "CopyItemsd", "keys": "seg", "names": "pred"}
CALLED = {"_target_": "Lambdad", "keys": "pred", "func": "$lambda found: found[1]"}


@pytest.mark.parametrize(
    ("kind", "first"),
    [(AsDict, []), (AsTuple, []), (AsDict, [FLATTENED, RENAMED]), (AsTuple, [CALLED])],
)
def test_a_network_may_return_a_dictionary_or_a_tuple(
    tmp_path: Path, expected: np.ndarray, kind: type[Structured], first: list[Any]
) -> None:
    after = compose(*first, SOFTMAX, INVERTING, ARGMAX)
    config = {**copy.deepcopy(SEGMENTATION), "postprocessing": after}
    path = write_bundle(tmp_path / "b", config, metadata(SEGMENTED), torchscript=False)
    save_network(path, kind(network(UNET)))
    np.testing.assert_array_equal(the_map(ask(runner(path), scan())), expected)


def test_scores_of_classes_may_be_in_a_dictionary(tmp_path: Path) -> None:
    definition = CLASSIFICATION["network_def"]
    about = metadata(CLASSIFIED, is_patch_data=False)
    path = write_bundle(tmp_path / "b", CLASSIFICATION, about, torchscript=False)
    plain = ask(runner(path), scan())
    save_network(path, AsDict(network(definition)))
    found = ask(runner(path), scan())
    np.testing.assert_allclose(found["probabilities"], plain["probabilities"], atol=1e-6)


def test_a_network_without_tensors_is_refused(tmp_path: Path) -> None:
    config = {**SEGMENTATION, "inferer": "$lambda image, network: {'pred': 'nothing'}"}
    path = write_bundle(tmp_path / "b", config, metadata(SEGMENTED), torchscript=False)
    with pytest.raises(PipelineError, match="returns a dict; it must return a tensor, or a dict"):
        ask(runner(path), scan())


def ensemble(path: Path) -> Path:
    """A bundle of two networks, whose mean is the prediction."""
    loaders = [
        {
            "_target_": "CheckpointLoader",
            "load_path": f"$@bundle_root + '/models/{name}.pt'",
            "load_dict": {"model": f"@{name}"},
        }
        for name in ("first", "second")
    ]
    keys = ["pred0", "pred1"]
    softmax, inverting, argmax, saving = SEGMENTATION["postprocessing"]["transforms"]
    config = {
        **copy.deepcopy(SEGMENTATION),
        "first": "$@first_def.to(@device)",
        "second": "$@second_def.to(@device)",
        "first_def": UNET,
        "second_def": UNET,
        "checkpointloader": loaders,
        "initialize": ["$[loader(@evaluator) for loader in @checkpointloader]"],
        "evaluator": {
            "_target_": "EnsembleEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "networks": ["@first", "@second"],
            "pred_keys": keys,
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "postprocessing": compose(
            {"_target_": "MeanEnsembled", "keys": keys, "output_key": "pred"},
            *(softmax, inverting, argmax, saving),
        ),
    }
    write_bundle(path, config, metadata(SEGMENTED), torchscript=False)
    state = network(UNET).state_dict()
    torch.save(state, path / "models" / "first.pt")
    torch.manual_seed(5)
    worse = {
        name: values + 0.3 * torch.randn_like(values)
        if values.is_floating_point() and "running" not in name
        else values
        for name, values in state.items()
    }
    torch.save({"model": worse}, path / "models" / "second.pt")
    (path / "models" / "model.pt").unlink()
    return path


def test_an_ensemble_is_as_monai_runs_it(tmp_path: Path, expected: np.ndarray) -> None:
    path = ensemble(tmp_path / "b")
    (tmp_path / "scan.nii.gz").write_bytes(scan())
    run_by_monai(path, [tmp_path / "scan.nii.gz"], tmp_path / "out")
    found = the_map(ask(runner(path), scan()))
    np.testing.assert_array_equal(found, saved(tmp_path / "out", tmp_path / "scan.nii.gz")[0])
    assert (found != expected).any()  # the second network has a say


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checkpointloader": None}, "the network of 'pred0' has no parameters; name their file"),
        ({"evaluator::pred_keys": ["pred0"]}, "pred_keys has 1 keys for 2 networks"),
    ],
)
def test_networks_without_parameters_or_keys_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = with_config(ensemble(tmp_path / "b"), change)
    with pytest.raises(RepositoryError, match=message):
        runner(path)


def test_a_missing_checkpoint_of_an_ensemble_is_named(tmp_path: Path) -> None:
    path = ensemble(tmp_path / "b")
    (path / "models" / "second.pt").unlink()
    with pytest.raises(RepositoryError, match=r"models/second\.pt is missing, which configs/inf"):
        runner(path)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_pictures_of_any_number_of_channels_are_served(
    tmp_path: Path, channels: int, mode: str
) -> None:
    about = picture_metadata(SEGMENTED)
    image = about["network_data_format"]["inputs"]["image"]
    image.update(num_channels=channels, channel_def={str(n): "a" for n in range(channels)})
    config = {
        "preprocessing": compose(*LOADING[:2]),
        "network_def": {
            "_target_": "torch.nn.Conv2d",
            "in_channels": channels,
            "out_channels": len(LABELS),
            "kernel_size": 1,
        },
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": compose(ARGMAX),
    }
    write_bundle(tmp_path / "b", {**config, "network_def": {**UNET, "spatial_dims": 2}}, about)
    path = with_config(tmp_path / "b", config)
    save_network(path, torch.nn.Conv2d(channels, len(LABELS), 1))
    of = runner(path)
    (example,) = of.pipeline.example()["image"]
    assert PICTURE.read([example], "image", channels)[0].mode == mode
    assert ask(of, example)["areas"].sum() == 20 * 16
    assert ask(of, picture())["areas"].sum() == 41 * 31  # RGB, whatever the network takes


@pytest.mark.parametrize(
    ("entry", "required", "advice"),
    [
        ("Nonsense", {}, r"Cannot locate .*; MONAI \S+ has no such class; the bundle was made for"),
        ("monai.transforms.Nonsense", {}, "has no such class"),
        ("no_such_package.Net", {"itk": "5"}, "; install what metadata.json requires: itk$"),
        ("no_such_package.Net", {}, "; a package is missing, which metadata.json does not name"),
        ("scripts.net.Net", {}, "; look into scripts/ of the bundle$"),
        ("torch.nn.Conv3d", {}, r"missing 3 required positional arguments[^;]*$"),
    ],
)
def test_advice_fits_what_is_wrong(
    tmp_path: Path, entry: str, required: dict[str, str], advice: str
) -> None:
    about = {**metadata(SEGMENTED), "required_packages_version": required}
    path = write_bundle(tmp_path / "b", SEGMENTATION, about, torchscript=False)
    (path / "scripts").mkdir()
    with_config(path, {"preprocessing": {"_target_": entry}})
    with pytest.raises(RepositoryError, match=advice):
        runner(path)


def test_a_macro_of_a_missing_file_is_named(tmp_path: Path) -> None:
    path = with_config(segmentation_bundle(tmp_path / "b"), {"preprocessing": "%gone.json::all"})
    with pytest.raises(
        RepositoryError, match=r"the macro %gone\.json needs .*gone\.json, which is"
    ):
        runner(path)


REPORTS = Path(__file__).parents[6] / "shared" / "data" / "reports" / "bundles"


@pytest.mark.parametrize("name", ["usesmeta", "twofiles"])
def test_reported_bundles_are_served(name: str) -> None:
    if not (REPORTS / name).is_dir():
        pytest.skip(f"{REPORTS / name} is not here")
    of = runner(REPORTS / name)
    (example,) = of.pipeline.example()["image"]
    assert bundle(REPORTS / name).facts.image.shape == (32, 32, 32)
    assert ask(of, example)["volumes"].sum() == pytest.approx(32**3 / 1000)


@pytest.mark.parametrize("torchscript", [True, False])
def test_openvino_labels_as_torch_does(
    tmp_path: Path, torchscript: bool, expected: np.ndarray
) -> None:
    path = segmentation_bundle(tmp_path / "b", torchscript=torchscript)
    found = the_map(ask(Runner(make_pipeline(bundle(path), runtime="openvino")), scan()))
    assert (found == expected).mean() > 0.9999  # two labels may be equally likely


def test_a_network_that_returns_a_dictionary_is_run_by_torch_only(tmp_path: Path) -> None:
    path = segmentation_bundle(tmp_path / "b")
    save_network(path, AsDict(network(UNET)))
    with pytest.raises(NaiadError, match="returns a dict; it must return a tensor"):
        Runner(make_pipeline(bundle(path), runtime="onnxruntime"))
