"""Files through MONAI's transforms and a TorchScript network, as in MONAI's Triton tutorials.

Each file is written to the disk for MONAI's reader, prepared, and classified by itself before the
next. Unlike the tutorials, it removes its files, and returns probabilities beside the verdict, by
which answers are compared. The parameter ``kind`` is ``covid_ct`` or ``mednist``.
"""

import json
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import torch
import triton_python_backend_utils as pb_utils
from monai import transforms

MODALITIES = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")


def ct():
    return transforms.Compose(
        [
            transforms.LoadImage(reader="NibabelReader", image_only=True, dtype=np.float32),
            transforms.EnsureChannelFirst(channel_dim="no_channel"),
            transforms.ScaleIntensityRange(a_min=-1000, a_max=500, b_min=0, b_max=1, clip=True),
            transforms.CropForeground(margin=5, allow_smaller=True),
            transforms.Resize((192, 192, 64), mode="area"),
        ]
    )


def picture():
    return transforms.Compose(
        [
            transforms.LoadImage(reader="PILReader", image_only=True, dtype=np.float32),
            transforms.ScaleIntensity(),
            transforms.EnsureChannelFirst(channel_dim="no_channel"),
        ]
    )


def covid(logits):
    probability = torch.sigmoid(logits.reshape(-1))
    verdict = "COVID Positive" if probability[0] >= 0.5 else "COVID Negative"
    return verdict, "PROBABILITY", probability


def modality(logits):
    scores = torch.softmax(logits, 1)
    return MODALITIES[int(scores[0].argmax())], "SCORES", scores


class TritonPythonModel:
    def initialize(self, args):
        given = json.loads(args["model_config"])["parameters"]
        prepare, self.judge, self.suffix = {
            "covid_ct": (ct, covid, ".nii.gz"),
            "mednist": (picture, modality, ".jpeg"),
        }[given["kind"]["string_value"]]
        self.prepare = prepare()
        self.network = torch.jit.load(given["file"]["string_value"]).eval()

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        sent = pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()
        with NamedTemporaryFile(suffix=self.suffix, delete=False) as file:
            file.write(sent[0, 0])
        try:
            image = self.prepare(file.name).as_tensor()[None]
        finally:
            Path(file.name).unlink()
        with torch.no_grad():
            verdict, name, numbers = self.judge(self.network(image))
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("OUTPUT0", np.array([verdict.encode()], object)),
                pb_utils.Tensor(name, numbers.numpy()),
            ]
        )
