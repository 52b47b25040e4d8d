"""Rules of a bundle's folder and metadata; errors name the file and the field. No MONAI."""

from __future__ import annotations

import json
import shutil
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.applications.medical.bundle.bundles import (
    CLASSES,
    CLASSIFIED,
    LABELS,
    SEGMENTED,
    folder,
    metadata,
)

from naiad.applications.medical.bundle.files import open_bundle
from naiad.applications.medical.bundle.metadata import read_metadata
from naiad.applications.medical.bundle.pipeline import Bundle, bundle, bundle_spec
from naiad.core.pipeline import load_pipeline
from naiad.core.schema import BYTES, REQUESTS
from naiad.errors import RepositoryError, WeightsError
from naiad.triton.repository import export, naiad_models


def test_a_segmentation_is_derived_from_the_metadata(tmp_path: Path) -> None:
    kind = bundle(folder(tmp_path / "spleen ct", metadata(SEGMENTED)))
    assert kind.name == "spleen_ct"
    assert kind.notice == "Trained on synthetic phantoms for a second; not for diagnosis"
    assert (kind.inputs["image"].dtype, kind.inputs["image"].dims) == (BYTES, (REQUESTS,))
    assert kind.inputs["image"].doc.startswith("CT scan as a NIfTI file")
    assert "the network sees values of 0 to 1" in kind.inputs["image"].doc
    assert kind.inputs["compress"].optional
    assert [*kind.outputs] == ["pred", "labels", "names", "volumes", "notes"]
    assert kind.sample["image"].dims[:2] == (REQUESTS, 1)
    assert read_metadata(open_bundle(tmp_path / "spleen ct")).prediction.labels == {
        int(number): name for number, name in LABELS.items()
    }


def test_channels_of_a_scan_are_files_in_order(tmp_path: Path) -> None:
    names = {"0": "T1c", "1": "T1", "2": "T2", "3": "FLAIR"}
    about = metadata(SEGMENTED, num_channels=4, modality="MR", channel_def=names, value_range=[])
    kind = bundle(folder(tmp_path / "brats", about))
    assert kind.inputs["image"].dims == ("files",)
    assert kind.inputs["image"].doc == (
        "MR scan as 4 NIfTI files, or one with as many volumes: T1c, T1, T2, FLAIR"
    )
    example = kind(None).example()
    assert example["image"].shape == (4,)


def test_a_classification_has_the_probabilities_and_names_of_its_classes(tmp_path: Path) -> None:
    kind = bundle(folder(tmp_path / "lungs", metadata(CLASSIFIED)))
    assert kind.outputs["probabilities"].dims == (len(CLASSES),)
    assert kind(None).labels() == {"probabilities": [*CLASSES.values()]}
    assert [*kind.inputs] == ["image"]


def test_a_picture_is_one_file_whatever_its_colours(tmp_path: Path) -> None:
    about = metadata(CLASSIFIED, num_channels=3, spatial_shape=[20, 16])
    kind = bundle(folder(tmp_path / "tissue", about))
    assert kind.inputs["image"].dims == (REQUESTS,)
    assert kind.inputs["image"].doc.startswith(
        "picture as a JPEG, PNG, WebP, TIFF, AVIF or HEIC file"
    )
    assert len(kind.sample["image"].dims) == 4
    (example,) = kind(None).example()["image"]
    with Image.open(BytesIO(example)) as picture:
        assert (picture.size, picture.mode) == ((20, 16), "RGB")


def test_label_maps_of_pictures_are_png_with_areas(tmp_path: Path) -> None:
    about = metadata(SEGMENTED, num_channels=3, spatial_shape=[20, 16])
    kind = bundle(folder(tmp_path / "tools", about))
    assert [*kind.inputs] == ["image"]
    assert [*kind.outputs] == ["pred", "labels", "names", "areas"]
    assert (kind.outputs["areas"].dtype, kind.outputs["areas"].unit) == ("int64", "px")
    assert kind.outputs["pred"].doc.startswith("label maps as PNG files")
    assert kind.result["prediction"].dims[2:] == ("prediction_x", "prediction_y")
    assert kind(None).metadata()["bundle_image"] == "picture"


def test_slices_of_volumes_are_not_pictures(tmp_path: Path) -> None:
    about = metadata(SEGMENTED, spatial_shape=[32, 24])
    for axis, shape in enumerate(((16, 32, 24), (32, 16, 24), (32, 24, 16))):
        inferer = {"_target_": "SliceInferer", "roi_size": [32, 24], "spatial_dim": axis}
        path = folder(tmp_path / f"b{axis}", about, json.dumps({"inferer": inferer}))
        kind = bundle(path)
        assert [*kind.outputs] == ["pred", "labels", "names", "volumes", "notes"]
        assert kind.facts.image.example_shape() == shape
    inferer = {"_target_": "monai.inferers.SliceInferer", "spatial_dim": "last"}
    path = folder(tmp_path / "wrong", about, json.dumps({"inferer": inferer}))
    with pytest.raises(RepositoryError, match=r"inferer\.spatial_dim is 'last'; it must be 0, 1"):
        bundle(path)


SLICES = {"_target_": "SliceInferer", "roi_size": [32, 24], "spatial_dim": "@axis"}


@pytest.mark.parametrize(
    ("config", "common"),
    [
        ({"axis": 1}, {"inferer": SLICES}),
        ({"axis": "@_meta_::axis", "inferer": SLICES}, {}),
        ({"inferer::spatial_dim": 1}, {"inferer": SLICES, "axis": 2}),
        ({"axis": 1, "evaluator": {"inferer": "@slicers::0"}}, {"slicers": [SLICES]}),
        ({"axis": 1, "evaluator::inferer": "%slicer", "slicer": "%parts.json#a::1"}, {}),
    ],
)
def test_slices_are_found_through_references(
    tmp_path: Path, config: dict[str, Any], common: dict[str, Any]
) -> None:
    about = {**metadata(SEGMENTED, spatial_shape=[32, 24]), "axis": 1}
    path = folder(tmp_path / "b", about, json.dumps(config))
    (path / "configs" / "common.json").write_text(json.dumps(common))
    (path / "configs" / "parts.json").write_text(json.dumps({"a": [0, SLICES]}))
    assert bundle(path).facts.image.example_shape() == (32, 16, 24)


def test_references_in_a_circle_end(tmp_path: Path) -> None:
    about = metadata(SEGMENTED, spatial_shape=[32, 24])
    path = folder(tmp_path / "b", about, json.dumps({"inferer": "@a", "a": "%inferer"}))
    assert bundle(path).facts.image.kind.name == "picture"


def test_scores_that_are_called_labels_are_those_of_classes(tmp_path: Path) -> None:
    scores = {**CLASSIFIED, "type": "image", "format": "labels"}
    kind = bundle(folder(tmp_path / "density", metadata(scores, spatial_shape=[299, 299])))
    assert [*kind.outputs] == ["probabilities", "label", "pred"]


@pytest.mark.parametrize(
    ("shape", "example"),
    [
        ([96, 64, 32], (96, 64, 32)),
        (["8*n", "16*n", "2**p"], (16, 16, 16)),
        (["*", "32 ** p * n", "24"], (64, 32, 24)),
    ],
)
def test_patterns_of_shapes_are_understood(
    tmp_path: Path, shape: list[Any], example: tuple[int, ...]
) -> None:
    about = metadata(SEGMENTED, spatial_shape=shape)
    found = read_metadata(open_bundle(folder(tmp_path / "b", about)))
    assert found.image.example_shape() == example


IN, OUT = "network_data_format.inputs.image", "network_data_format.outputs.pred"


@pytest.mark.parametrize(
    ("image", "pred", "message"),
    [
        ({"num_channels": 0}, {}, rf"{IN}\.num_channels is 0; it must be 1 to 1024"),
        ({"num_channels": None}, {}, rf"{IN}\.num_channels is None"),
        (
            {"spatial_shape": [256]},
            {},
            rf"{IN}\.spatial_shape is \[256\]; it must have 3 sizes",
        ),
        (
            {"spatial_shape": [256, 256], "num_channels": 5},
            {},
            rf"{IN}\.num_channels is 5; it must be 1 to 4",
        ),
        ({"spatial_shape": [8, 8, "open('x')"]}, {}, rf"{IN}\.spatial_shape has \"open\('x'\)\""),
        ({"spatial_shape": [8, 8, "9**9**9**9"]}, {}, rf"{IN}\.spatial_shape has '9\*\*9"),
        ({"spatial_shape": [8, 8, -8]}, {}, rf"{IN}\.spatial_shape has -8"),
        ({"value_range": [0]}, {}, rf"{IN}\.value_range is \[0\]; it must be \[least, greatest\]"),
        ({"channel_def": {"a": "b"}}, {}, rf"{IN}\.channel_def is"),
        ({}, {"num_channels": "2"}, rf"{OUT}\.num_channels is '2'"),
        ({}, {"channel_codes": {"1": {"value": "7"}}}, rf"{OUT}\.channel_codes is"),
        ({}, {"channel_codes": "spleen"}, rf"{OUT}\.channel_codes is 'spleen'; it must be as"),
        ({}, {"format": "points"}, rf"{OUT} has type 'image' and format 'points'; it must"),
    ],
)
def test_a_wrong_field_is_named(
    tmp_path: Path, image: dict[str, Any], pred: dict[str, Any], message: str
) -> None:
    path = folder(tmp_path / "b", metadata({**SEGMENTED, **pred}, **image))
    with pytest.raises(RepositoryError, match=rf"configs/metadata\.json: {message}"):
        bundle(path)


def test_what_is_not_served_is_said(tmp_path: Path) -> None:
    about = metadata(SEGMENTED)
    inputs = about["network_data_format"]["inputs"]
    inputs["prompt"] = inputs["image"]
    with pytest.raises(RepositoryError, match=r"inputs has image, prompt; a bundle must have one"):
        bundle(folder(tmp_path / "two", about))
    del about["network_data_format"]
    with pytest.raises(RepositoryError, match=r"network_data_format\.inputs is None"):
        bundle(folder(tmp_path / "none", about))
    about = metadata(SEGMENTED)
    about["network_data_format"]["outputs"] = {"labels": SEGMENTED}
    with pytest.raises(RepositoryError, match="a tensor 'labels', a name that Naiad uses"):
        bundle(folder(tmp_path / "taken", about))


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no such bundle"):
        bundle(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RepositoryError, match=r"configs/metadata\.json is missing; a MONAI bundle"):
        bundle(tmp_path / "empty")
    path = folder(tmp_path / "b", metadata(SEGMENTED))
    (path / "models" / "model.pt").unlink()
    with pytest.raises(RepositoryError, match=r"model\.ts is missing, and so is models/model\.pt"):
        bundle(path)
    (path / "configs" / "inference.json").unlink()
    with pytest.raises(RepositoryError, match=r"inference\.json is missing, and so is"):
        bundle(path)
    (path / "configs" / "metadata.json").write_text("{'version': 1}")
    (path / "configs" / "inference.json").write_text("{}")
    (path / "models" / "model.pt").touch()
    with pytest.raises(RepositoryError, match=r"metadata\.json: not JSON: .* line 1 column 2"):
        bundle(path)
    (path / "configs" / "metadata.json").write_text("[]")
    with pytest.raises(RepositoryError, match=r"metadata\.json: it has a list; it must be"):
        bundle(path)
    (path / "configs" / "metadata.json").write_text(" " * (17 << 20))
    with pytest.raises(RepositoryError, match="a config may have 16,777,216"):
        bundle(path)


def test_a_file_that_is_not_an_exported_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.ts").write_bytes(b"no archive")
    with pytest.raises(RepositoryError, match="it must be a bundle's folder, or TorchScript as"):
        bundle(tmp_path / "net.ts")
    with zipfile.ZipFile(tmp_path / "plain.ts", "w") as archive:
        archive.writestr("plain/constants.pkl", b"")
    with pytest.raises(RepositoryError, match=r"TorchScript without metadata\.json in it; export"):
        bundle(tmp_path / "plain.ts")


def test_a_bundle_is_found_by_its_spec_and_none_is_asked_for(tmp_path: Path) -> None:
    path = folder(tmp_path / "a (b)", metadata(SEGMENTED))
    assert load_pipeline(bundle_spec(path)).name == "a__b_"
    assert load_pipeline("bundle") is Bundle
    with pytest.raises(WeightsError, match="naiad serve --bundle DIR"):
        Bundle()
    with pytest.raises(WeightsError, match="naiad serve --bundle DIR"):
        Bundle(path)


def test_an_exported_bundle_is_complete_and_can_be_moved(tmp_path: Path) -> None:
    path = folder(tmp_path / "spleen", metadata(SEGMENTED))
    export(bundle_spec(path), tmp_path / "written")
    shutil.rmtree(path)
    moved = (tmp_path / "written").rename(tmp_path / "moved")
    written = [p for p in moved.rglob("*") if p.is_file()]
    assert all(str(tmp_path).encode() not in p.read_bytes() for p in written)
    (model,) = naiad_models(moved)
    assert model.name == "spleen"
    assert model.notice == "Trained on synthetic phantoms for a second; not for diagnosis"
    assert model.pipeline().weights_path == moved / "spleen" / "1" / "weights"
    assert model.example()["image"].shape == (1,)
