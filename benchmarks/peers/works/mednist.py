"""JPEG files of 64 x 64 pixels to the probabilities of six kinds."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from benchmarks.peers.codec import Arrays
from benchmarks.peers.works import Predict, Work


def make(number: int) -> list[Arrays]:
    from naiad.applications.medical.mednist.phantoms import draw, encode
    from naiad.applications.medical.mednist.schema import CLASSES

    rng = np.random.default_rng(0)
    files = [encode(draw(CLASSES[n % len(CLASSES)], rng)) for n in range(number)]
    return [{"INPUT0": np.array([[file]], object)} for file in files]


def load() -> Predict:
    import torch
    from PIL import Image

    from naiad import torch_model
    from naiad.applications.medical.mednist.model import ModalityNet
    from naiad.applications.medical.mednist.pipeline import MedNist
    from naiad.applications.medical.mednist.schema import CLASSES

    torch.set_num_threads(1)
    path = MedNist().weights_path
    assert path is not None
    net = torch_model.load(path, lambda: ModalityNet(len(CLASSES)), "cpu")
    names = np.array([name.encode() for name in CLASSES], object)

    def opened(file: bytes) -> np.ndarray:
        pixels = np.asarray(Image.open(BytesIO(file)).convert("L"), np.float32).T
        return (pixels - pixels.min()) / max(1.0, pixels.max() - pixels.min())

    @torch.inference_mode()
    def predict(requests: Sequence[Arrays]) -> list[Arrays]:
        # All images of the data set have one size.
        images = np.stack([opened(request["INPUT0"][0, 0]) for request in requests])
        scores = torch.softmax(net(torch.from_numpy(images)[:, None]), 1).numpy()
        return [{"OUTPUT0": names[[row.argmax()]], "SCORES": row[None]} for row in scores]

    return predict


WORK = Work(
    title="MedNIST, a JPEG file each",
    pipeline="mednist",
    tolerance=1e-5,
    batch=64,
    most=64,
    size=lambda request: 1,
    make=make,
    load=load,
)
