"""A bundle's own inference, run by MONAI: its transforms, inferer and networks."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.inferers.inferer import Inferer, SimpleInferer
from monai.transforms.compose import Compose
from monai.transforms.io.array import SaveImage
from monai.transforms.io.dictionary import SaveImaged
from monai.transforms.post.array import Activations, AsDiscrete
from monai.transforms.post.dictionary import (
    Activationsd,
    AsDiscreted,
    SaveClassificationd,
)
from monai.transforms.spatial.array import SpatialResample
from monai.transforms.transform import MapTransform
from monai.transforms.utility.array import Lambda, MapLabelValue
from monai.transforms.utility.dictionary import FlattenSubKeysd, Lambdad, MapLabelValued
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray

from naiad.applications.medical.bundle.config import Config, causes
from naiad.applications.medical.bundle.files import BundleFiles
from naiad.applications.medical.bundle.kinds import Grid, Loaded
from naiad.applications.medical.bundle.metadata import Metadata
from naiad.applications.medical.bundle.networks import ONLY, Recorder, load_networks
from naiad.applications.medical.bundle.predictions import Predictions, predictions_of, rebuilt
from naiad.applications.medical.bundle.reader import read_from, transforms_in
from naiad.core.settings import Runtime
from naiad.errors import PipelineError

_WRITERS: Final = (SaveImaged, SaveImage, SaveClassificationd)
"""Transforms that write files, which are left out: results only go to the client."""
_RENUMBERING: Final = (Lambda, Lambdad, MapLabelValue, MapLabelValued)
"""Transforms after which a label may not be the number of a channel."""


@dataclass(frozen=True, slots=True)
class Case:
    """A request between preprocessing and postprocessing.

    Attributes:
        image: the network's input: float32 ``[channels, x, y, z]``, or ``[channels, x, y]`` for a
            picture.
        state: all other data of the transforms, as bytes that only this process reads.
    """

    image: NDArray[np.float32]
    state: bytes


class Workflow:
    """The inference of a bundle."""

    def __init__(self, files: BundleFiles, metadata: Metadata, device: str) -> None:
        """Create the objects in the config, and load the networks onto ``device``.

        Raises:
            RepositoryError: the config or a file of the bundle is wrong; says which and where.
        """
        self._files = files
        self._image, self._prediction = metadata.image, metadata.prediction
        self._loaded: dict[str, Loaded] = {}
        # ``Invertd`` postprocesses by the transforms that preprocess other requests, which may not
        # be safe for two threads.
        self._transforming = threading.Lock()
        config = Config(files, device)
        self._before = config.chain("preprocessing", "dataset::transform")
        if not read_from(self._loaded, self._before, self._image.kind):
            raise files.wrong_config(
                f"preprocessing has no LoadImaged; it must begin with one for {self._image.name!r}"
            )
        after = config.chain("postprocessing", "evaluator::postprocessing", needed=False)
        steps = [step for step in transforms_in(after) if not isinstance(step, _WRITERS)]
        self._after = Compose(steps)
        decides = (AsDiscreted, AsDiscrete)
        first = next((n for n, s in enumerate(steps) if isinstance(s, decides)), len(steps))
        self._scoring, self._deciding = Compose(steps[:first]), Compose(steps[first:])
        self.activates = any(isinstance(s, Activationsd | Activations) for s in steps)
        """Whether the config turns the network's output into probabilities."""
        self._numbered = any(_takes_argmax(s) for s in steps) and not any(
            isinstance(s, _RENUMBERING) for s in steps
        )
        self._key = _prediction_key(steps, self._prediction.name)
        self._takes_apart = _takes_apart(steps, self._key)
        inferer = config.made("inferer", "evaluator::inferer", needed=False)
        self._inferer: Inferer = SimpleInferer() if inferer is None else inferer
        self._networks = load_networks(config, files, torch.device(device))
        self._device = device

    def prepare(self, images: Sequence[Loaded]) -> Case:
        """Preprocess the volumes of a request, one per channel, or its picture.

        Raises:
            PipelineError: a transform raised; says which.
        """
        names = [f"{self._image.name}-{number}" for number in range(len(images))]
        with self._transforming:
            self._loaded.update(zip(names, images, strict=True))
            try:
                given = {self._image.name: names if len(names) > 1 else names[0]}
                data: dict[str, Any] = dict(cast(Any, self._before(given)))
            except Exception as error:
                raise _failed("preprocessing", error) from error
            finally:
                self._loaded.clear()
        image = data.pop(self._image.name, None)
        if not isinstance(image, MetaTensor):
            raise PipelineError(
                f"the bundle's preprocessing returns {type(image).__name__} as "
                f"{self._image.name!r}; it must return a MetaTensor"
            )
        grid = self._image.kind.grid(images[0])
        rest = (data, dict(image.meta), list(image.applied_operations), grid)
        return Case(image.as_tensor().float().numpy(), pickle.dumps(rest))

    def predict(self, images: torch.Tensor) -> Predictions:
        """Run the networks on images of the same shape, ``[images, channels, ...]``.

        Raises:
            PipelineError: they return no tensor.
        """
        found = {key: self._inferer(images, one) for key, one in self._networks.items()}
        wanted = (self._prediction.name, CommonKeys.PRED)
        return predictions_of(
            found.get(ONLY, found), len(images), wanted, self._prediction.channels
        )

    def run_by(self, runtime: Runtime, image: NDArray[np.float32]) -> None:
        """Have another library run the networks.

        Args:
            runtime: the library.
            image: the input for one image, ``[1, channels, ...]``; what the inferer gives to each
                network for it is what their answers are compared for.

        Raises:
            WeightsError: the library cannot run a network, or its answers differ.
            MissingExtra: it is not installed.
        """
        recorded = {key: Recorder(network) for key, network in self._networks.items()}
        self._networks = {**recorded}
        with torch.inference_mode():
            self.predict(torch.from_numpy(image).to(self._device))
        self._networks = {
            key: recorder.run_by(runtime, self._device) for key, recorder in recorded.items()
        }

    def label_maps(
        self, case: Case, prediction: NDArray[np.float32], rest: bytes = b""
    ) -> tuple[NDArray[np.float32], Grid]:
        """Postprocess the prediction for an image, ``[channels, ...]``, without saving anything.

        Args:
            case: of :meth:`prepare`.
            prediction: the main one of :meth:`predict`.
            rest: the others.

        Returns:
            The maps, ``[maps, x, y, z]`` or ``[maps, x, y]``, on the grid of the scan or picture,
            and that grid. If the bundle does not resample them itself (by ``Invertd``), a voxel of
            the scan has the label of the nearest voxel of the map, and 0 outside of it.

        Raises:
            PipelineError: a transform raised; says which.
        """
        data, grid = self._data(case, prediction, rest)
        maps = self._tensor(self._run(self._after, data))
        there = tuple(maps.shape[1:]) == grid.shape
        if not there or not np.allclose(maps.affine, grid.affine, atol=1e-3):
            onto = SpatialResample(mode="nearest", padding_mode="zeros")
            affine = torch.from_numpy(grid.affine)
            moved = onto(maps, dst_affine=affine, spatial_size=grid.shape)
            maps = cast(MetaTensor, moved)
        return maps.as_tensor().float().numpy(), grid

    def grid(self, case: Case) -> Grid:
        """Return the grid of the scan or picture."""
        return pickle.loads(case.state)[-1]  # as in _data

    def label(self, number: int, maps: int) -> str:
        """Return the name of a label of the only map, or of map ``number`` of several.

        A label of the only map is a channel of the network's output only if it is the one with the
        highest score and was not renumbered afterwards.
        """
        channels, names = self._prediction.channels, self._prediction.labels
        if maps > 1:
            return names.get(number, f"map {number}")
        if self._numbered:
            return names.get(number, f"label {number}")
        if number == 0:
            return "background"
        only = names.get(0) if channels == 1 and number == 1 else None
        return only or f"label {number}"

    def scores(
        self, case: Case, prediction: NDArray[np.float32], rest: bytes = b""
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the values before postprocessing decides (``AsDiscreted``), and at its end; flat.

        Raises:
            PipelineError: a transform raised; says which.
        """
        data = self._run(self._scoring, self._data(case, prediction, rest)[0])
        scores = self._tensor(data).as_tensor().float().numpy().ravel().copy()
        decided = self._tensor(self._run(self._deciding, data))
        return scores, decided.as_tensor().float().numpy().ravel()

    def _data(
        self, case: Case, prediction: NDArray[np.float32], rest: bytes
    ) -> tuple[dict[str, Any], Grid]:
        # Our own bytes, written by prepare in this process. MONAI's loader pickles the same
        # dictionary to send it from its workers.
        data, meta, operations, grid = pickle.loads(case.state)

        def tensor(array: NDArray[Any]) -> MetaTensor:
            found = torch.from_numpy(np.ascontiguousarray(array))
            return MetaTensor(found, meta=dict(meta), applied_operations=list(operations))

        data[self._image.name] = tensor(case.image)
        main = tensor(prediction)
        if ONLY not in self._networks:
            data.update(rebuilt(rest, main, tensor))
        else:
            data[self._key] = rebuilt(rest, main, tensor) if self._takes_apart else main
        return data, grid

    def _run(self, steps: Compose, data: dict[str, Any]) -> dict[str, Any]:
        try:
            with self._transforming:
                return dict(cast(Any, steps(data)))
        except Exception as error:
            raise _failed("postprocessing", error) from error

    def _tensor(self, data: Mapping[str, Any]) -> MetaTensor:
        found = data.get(self._key, data.get(self._prediction.name))
        if isinstance(found, np.ndarray):
            found = torch.from_numpy(found)
        if not isinstance(found, torch.Tensor):
            raise PipelineError(
                f"the bundle's postprocessing returns {type(found).__name__} as "
                f"{self._key!r}; it must return a tensor"
            )
        return found if isinstance(found, MetaTensor) else MetaTensor(found)


def _takes_argmax(step: Any) -> bool:
    chosen = step.argmax if isinstance(step, AsDiscreted | AsDiscrete) else False
    return any(chosen) if isinstance(chosen, Sequence) else bool(chosen)


def _prediction_key(steps: Sequence[Any], name: str) -> str:
    """Return the key of the prediction in transforms: its name in the metadata, or MONAI's own."""
    used = {key for step in steps for key in _keys(step)}
    return CommonKeys.PRED if name not in used and CommonKeys.PRED in used else name


def _takes_apart(steps: Sequence[Any], key: str) -> bool:
    """Return whether postprocessing begins with a transform that takes whatever a network returns.

    Those of MONAI take a tensor, unless they are made for structures or call a function.
    """
    for step in steps:
        if not isinstance(step, MapTransform):
            return True
        if key in _keys(step):
            ours = type(step).__module__.startswith("monai.")
            return not ours or isinstance(step, FlattenSubKeysd | Lambdad)
    return False


def _keys(step: Any) -> Sequence[str]:
    return [str(key) for key in step.keys] if isinstance(step, MapTransform) else []


def _failed(stage: str, error: Exception) -> PipelineError:
    return PipelineError(f"the bundle's {stage} failed: {causes(error)}")
