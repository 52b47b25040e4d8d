"""MONAI's own run of a bundle, which a served one must equal."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image


def run_by_monai(bundle: Path, scans: list[Path], output: Path) -> list[Any]:
    """Return MONAI's last predictions after postprocessing; write its files to ``output``."""
    from monai.bundle.workflows import ConfigWorkflow

    config = next(path for path in (bundle / "configs").iterdir() if path.stem == "inference")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MONAI and ignite about themselves
        workflow = ConfigWorkflow(
            config_file=str(config),
            meta_file=str(bundle / "configs" / "metadata.json"),
            workflow_type="infer",
            bundle_root=str(bundle),
            output_dir=str(output),
            datalist=[str(path) for path in scans],
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
        return [item["pred"] for item in workflow.evaluator.state.output]


def saved(output: Path, scan: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the label map that MONAI wrote for a scan, and its affine."""
    (path,) = output.rglob(f"{scan.name.partition('.')[0]}_seg.nii.gz")
    image = nibabel.loadsave.load(path)
    return np.asarray(image.dataobj), image.affine


def saved_picture(output: Path, scan: Path) -> np.ndarray:
    """Read the label map that MONAI wrote for a picture: rows and columns."""
    (path,) = output.rglob(f"{scan.stem}_seg.png")
    with Image.open(path) as picture:
        return np.asarray(picture)
