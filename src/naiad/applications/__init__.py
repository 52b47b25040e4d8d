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
        name="gat",
        model="gat_test",
        summary="topic of each paper in a citation graph, by graph attention",
        pipeline="naiad.applications.gat.pipeline:Gat",
        client="naiad.applications.gat.client:GatClient",
        cli="naiad.applications.gat.cli",
        network="naiad.applications.gat.weights:network",
        requests="naiad.applications.gat.graphs:read_requests",
        simulated="naiad.applications.gat.simulate:simulated_requests",
        packages=("torch", "safetensors"),
    ),
    _declared(
        name="zero_shot",
        model="zero_shot",
        summary="which of some labels fit a text, without training",
        pipeline="naiad.applications.text.zero_shot.pipeline:ZeroShot",
        client="naiad.applications.text.zero_shot.client:ZeroShotClient",
        cli="naiad.applications.text.zero_shot.cli",
        requests="naiad.applications.text.zero_shot.requests:read_requests",
        simulated="naiad.applications.text.zero_shot.requests:simulated_requests",
        demos={"zero_shot": "naiad.applications.text.zero_shot.demo:run"},
        packages=("tokenizers", "onnxruntime"),
        arguments='"Who are you voting for?" --labels business,science,politics',
        on_request=True,
    ),
    _declared(
        name="text_embedding",
        model="text_embedding",
        summary="a vector per text, such that like texts have like vectors",
        pipeline="naiad.applications.text.embedding.pipeline:TextEmbedding",
        client="naiad.applications.text.embedding.client:TextEmbeddingClient",
        cli="naiad.applications.text.embedding.cli",
        requests="naiad.applications.text.embedding.files:read_requests",
        simulated="naiad.applications.text.embedding.simulate:simulated_requests",
        packages=("tokenizers", "onnxruntime"),
        arguments='"a heist in space" "robbers on a rocket"',
        on_request=True,
    ),
    _declared(
        name="sentence_bert",
        model="sentence_bert",
        summary="the same encoder for clients that send token ids",
        pipeline="naiad.applications.text.embedding.pipeline:SentenceBert",
        packages=("tokenizers", "onnxruntime"),
        on_request=True,
    ),
    _declared(
        name="deepset",
        model="deepset",
        summary="the same encoder for clients that send token ids, under another name",
        pipeline="naiad.applications.text.embedding.pipeline:Deepset",
        packages=("tokenizers", "onnxruntime"),
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
    _declared(
        name="simple",
        model="simple",
        summary="sum and difference of integers: Triton's example, to try an engine",
        pipeline="naiad.applications.simple.pipeline:Simple",
    ),
)
