"""Small valid MONAI bundles, and scans for them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from naiad.applications.medical.nifti import write

ROI = 16
"""Side of the windows that the segmentation network sees, in voxels."""

LABELS = {"0": "background", "1": "organ", "2": "lesion"}
CLASSES = {"0": "clear", "1": "nodules", "2": "effusion"}

UNET: dict[str, Any] = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": len(LABELS),
    "channels": [4, 8],
    "strides": [2],
    "num_res_units": 1,
    "norm": "batch",
}
CLASSIFIER: dict[str, Any] = {
    "_target_": "DenseNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": len(CLASSES),
    "init_features": 4,
    "growth_rate": 2,
    "block_config": [1, 1],
    "bn_size": 1,
}

PICTURE_CLASSIFIER = {**CLASSIFIER, "spatial_dims": 2, "in_channels": 3}
PICTURE_UNET = {**UNET, "spatial_dims": 2, "in_channels": 3}

LOADING: list[dict[str, Any]] = [
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
]
SCALING = {
    "_target_": "ScaleIntensityRanged",
    "keys": "image",
    "a_min": -100,
    "a_max": 300,
    "b_min": 0,
    "b_max": 1,
    "clip": True,
}
INVERTING = {
    "_target_": "Invertd",
    "keys": "pred",
    "transform": "@preprocessing",
    "orig_keys": "image",
    "nearest_interp": False,
    "to_tensor": True,
}
SAVING = {
    "_target_": "SaveImaged",
    "keys": "pred",
    "output_dir": "@output_dir",
    "output_dtype": "$numpy.uint8",
    "output_postfix": "seg",
    "separate_folder": False,
}


def compose(*transforms: Mapping[str, Any]) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": [dict(t) for t in transforms]}


SEGMENTATION: dict[str, Any] = {
    "preprocessing": compose(
        *LOADING,
        {"_target_": "Spacingd", "keys": "image", "pixdim": [2.0, 2.0, 2.0], "mode": "bilinear"},
        SCALING,
        {"_target_": "EnsureTyped", "keys": "image"},
    ),
    "network_def": UNET,
    "inferer": {
        "_target_": "SlidingWindowInferer",
        "roi_size": [ROI] * 3,
        "sw_batch_size": 4,
        "overlap": 0.5,
    },
    "postprocessing": compose(
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        INVERTING,
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        SAVING,
    ),
}
CLASSIFICATION: dict[str, Any] = {
    "preprocessing": compose(
        *LOADING,
        SCALING,
        {"_target_": "Resized", "keys": "image", "spatial_size": [16, 16, 16]},
    ),
    "network_def": CLASSIFIER,
    "inferer": {"_target_": "SimpleInferer"},
    "postprocessing": compose(
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True, "to_onehot": len(CLASSES)},
    ),
}


PICTURES: dict[str, Any] = {
    "preprocessing": compose(
        *LOADING[:2],
        {"_target_": "ScaleIntensityd", "keys": "image"},
        {"_target_": "Resized", "keys": "image", "spatial_size": [20, 16]},
    ),
    "network_def": PICTURE_CLASSIFIER,
    "inferer": {"_target_": "SimpleInferer"},
    "postprocessing": CLASSIFICATION["postprocessing"],
}
PICTURE_SEGMENTATION: dict[str, Any] = {
    "preprocessing": PICTURES["preprocessing"],
    "network_def": PICTURE_UNET,
    "inferer": {"_target_": "SimpleInferer"},
    "postprocessing": compose(
        *SEGMENTATION["postprocessing"]["transforms"][:3], {**SAVING, "output_ext": ".png"}
    ),
}


def image_format(**fields: Any) -> dict[str, Any]:
    return {
        "type": "image",
        "format": "hounsfield",
        "modality": "CT",
        "num_channels": 1,
        "spatial_shape": [ROI] * 3,
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": True,
        "channel_def": {"0": "image"},
        **fields,
    }


def metadata(pred: Mapping[str, Any], **image: Any) -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "monai_version": "1.4.0",
        "pytorch_version": "2.4.0",
        "numpy_version": "1.26.4",
        "task": "Phantom analysis",
        "intended_use": "Trained on synthetic phantoms for a second; not for diagnosis",
        "network_data_format": {
            "inputs": {"image": image_format(**image)},
            "outputs": {"pred": dict(pred)},
        },
    }


SEGMENTED = {
    "type": "image",
    "format": "segmentation",
    "num_channels": len(LABELS),
    "spatial_shape": [ROI] * 3,
    "dtype": "float32",
    "value_range": [0, 1],
    "is_patch_data": True,
    "channel_def": LABELS,
}
CLASSIFIED = {
    "type": "probabilities",
    "format": "classes",
    "num_channels": len(CLASSES),
    "spatial_shape": [1, len(CLASSES)],
    "dtype": "float32",
    "value_range": [0, 1],
    "is_patch_data": False,
    "channel_def": CLASSES,
}


def network(definition: Mapping[str, Any]) -> torch.nn.Module:
    """Return a config's network; for volumes, trained for a second on :func:`voxels`."""
    return _trained(json.dumps(definition))


@cache
def _trained(definition: str) -> torch.nn.Module:
    from monai.bundle.config_parser import ConfigParser

    torch.manual_seed(3)
    parser = ConfigParser({"network_def": json.loads(definition)})
    made = parser.get_parsed_content("network_def")
    if parser["network_def"]["spatial_dims"] == 2:
        return made.eval()
    steps = torch.optim.Adam(made.parameters(), lr=0.03)
    rng = np.random.default_rng(9)
    for _ in range(60):
        drawn = [voxels((ROI, ROI, ROI), rng) for _ in range(4)]
        values = torch.from_numpy(np.stack([v for v, _ in drawn])).float()[:, None]
        labels = torch.from_numpy(np.stack([label for _, label in drawn])).long()
        scores = made(((values + 100) / 400).clip(0, 1))
        if scores.ndim == 2:
            labels = labels.amax((1, 2, 3))
        steps.zero_grad()
        torch.nn.functional.cross_entropy(scores, labels).backward()
        steps.step()
    return made.eval()


def write_bundle(
    root: Path,
    config: Mapping[str, Any],
    about: Mapping[str, Any],
    *,
    torchscript: bool = True,
    as_yaml: bool = False,
) -> Path:
    """Write a bundle's folder to MONAI's specification."""
    for name in ("configs", "models"):
        (root / name).mkdir(parents=True)
    (root / "configs" / "metadata.json").write_text(json.dumps(about, indent=2))
    whole = {
        "imports": ["$import numpy"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": ".",
        "datalist": [],
        "device": "$torch.device('cpu')",
        "network": "$@network_def.to(@device)",
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': i} for i in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "checkpointloader": {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
        },
        "initialize": ["$@checkpointloader(@evaluator)"],
        "run": ["$@evaluator.run()"],
        **config,
    }
    if as_yaml:
        (root / "configs" / "inference.yaml").write_text(yaml.safe_dump(whole))
    else:
        (root / "configs" / "inference.json").write_text(json.dumps(whole, indent=2))
    made = network(config["network_def"])
    torch.save(made.state_dict(), root / "models" / "model.pt")
    if torchscript:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.script(made).save(str(root / "models" / "model.ts"))
    return root


def folder(root: Path, about: Mapping[str, Any], config: str = "{}") -> Path:
    """Write a bundle's files, none of which is run here."""
    for name in ("configs", "models"):
        (root / name).mkdir(parents=True)
    (root / "configs" / "metadata.json").write_text(json.dumps(about))
    (root / "configs" / "inference.json").write_text(config)
    (root / "models" / "model.pt").write_bytes(b"parameters")
    return root


def segmentation_bundle(root: Path, **options: Any) -> Path:
    return write_bundle(root, SEGMENTATION, metadata(SEGMENTED), **options)


def classification_bundle(root: Path, **options: Any) -> Path:
    about = metadata(CLASSIFIED, is_patch_data=False)
    return write_bundle(root, CLASSIFICATION, about, **options)


def picture_metadata(pred: Mapping[str, Any]) -> dict[str, Any]:
    return metadata(
        pred,
        num_channels=3,
        spatial_shape=[20, 16],
        is_patch_data=False,
        channel_def={"0": "R", "1": "G", "2": "B"},
    )


def picture_bundle(root: Path, **options: Any) -> Path:
    return write_bundle(root, PICTURES, picture_metadata(CLASSIFIED), **options)


def picture_segmentation_bundle(root: Path, **options: Any) -> Path:
    about = picture_metadata(SEGMENTED)
    return write_bundle(root, PICTURE_SEGMENTATION, about, **options)


AFFINE = np.array([[-1.5, 0, 0.1, 40.0], [0, 1.75, 0, -30.0], [0.1, 0, 2.5, 12.0], [0, 0, 0, 1.0]])
"""Left to right, so not RAS, a little oblique, and of unequal spacing."""


def voxels(shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a CT-like volume, int16, and its labels: a ball, maybe with a brighter one inside."""
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    centre = rng.uniform(-0.3, 0.3, 3)
    distance = sum((axis - at) ** 2 for axis, at in zip(axes, centre, strict=True))
    kinds = int(rng.integers(3))  # nothing; a ball; a ball with another one inside
    labels = (distance < 0.3).astype(np.int8) * (kinds > 0) + (distance < 0.08) * (kinds > 1)
    values = np.choose(labels, [-60, 80, 220]) + rng.normal(0, 15, shape)
    return values.astype(np.int16), labels


def scan(shape: tuple[int, int, int] = (30, 26, 18), seed: int = 1) -> bytes:
    """Return a volume as gzipped NIfTI; with seed 1 it has every label."""
    return write(voxels(shape, np.random.default_rng(seed))[0], AFFINE)


def picture(size: tuple[int, int] = (41, 31), seed: int = 1) -> bytes:
    """Return a PNG of this size: three disks of different colours, in noise."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(*(np.linspace(-1, 1, pixels) for pixels in size))
    values = rng.normal(60, 15, (*x.shape, 3))
    for colour in range(3):
        at = rng.uniform(-0.6, 0.6, 2)
        values[(x - at[0]) ** 2 + (y - at[1]) ** 2 < 0.15, colour] += 150
    file = BytesIO()
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
