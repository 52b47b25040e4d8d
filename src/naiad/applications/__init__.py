"""The applications that come with Naiad, by name; each is one folder beside this file."""

from __future__ import annotations

from typing import Any, Final

from naiad.application import Application


def _declared(name: str, **attributes: Any) -> type[Application]:
    return type(name, (Application,), {"name": name, **attributes})


BUILT_IN: Final[tuple[type[Application], ...]] = (
    _declared(
        name="nugraph3",
        model="nugraph3",
        summary="semantic labels, event class and vertex of a neutrino event in a LArTPC",
        pipeline="naiad.applications.nugraph.pipeline:NuGraph3",
        client="naiad.applications.nugraph.client:NuGraph3Client",
        cli="naiad.applications.nugraph.cli",
        requests="naiad.applications.nugraph.events:read_requests",
        simulated="naiad.applications.nugraph.simulate:simulated_requests",
        bulk="naiad.applications.nugraph.bulk:NuGraph3Bulk",
        demos={"nugraph3": "naiad.applications.nugraph.demo:run"},
        packages=("scipy", "safetensors"),
    ),
    _declared(
        name="image",
        model="image",
        summary="what is on JPEG and PNG images, by any ONNX or TorchScript classifier",
        pipeline="naiad.applications.image.pipeline:ImageClassifier",
        client="naiad.applications.image.client:ImageClient",
        cli="naiad.applications.image.cli",
        requests="naiad.applications.image.files:read_requests",
        simulated="naiad.applications.image.shapes:simulated_requests",
        bulk="naiad.applications.image.bulk:ImageBulk",
        packages=("torch", "PIL", "safetensors"),
    ),
    _declared(
        name="inception_graphdef",
        model="inception_graphdef",
        summary="the same classifiers under the contract of Triton's image clients",
        pipeline="naiad.applications.image.inception:InceptionGraphDef",
        packages=("torch", "safetensors"),
        on_request=True,
    ),
    _declared(
        name="bundle",
        model="bundle",
        summary="label maps and classes of medical scans, by any MONAI bundle",
        pipeline="naiad.applications.medical.bundle.pipeline:Bundle",
        cli="naiad.applications.medical.bundle.cli",
        packages=("torch", "monai", "nibabel", "isal", "PIL"),
        on_request=True,
    ),
)
