"""A bundle's own inference, run by MONAI: its transforms, inferer and network.

MONAI's ``ConfigParser`` reads the config, creates its objects and evaluates its ``$`` expressions:
a bundle is a program, so serve only bundles from trusted sources. Nothing that a client sends gets
into a config.
"""

from __future__ import annotations

import pickle
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import torch
from monai.bundle.config_parser import ConfigParser
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
from monai.transforms.utility.array import Lambda, MapLabelValue
from monai.transforms.utility.dictionary import Lambdad, MapLabelValued
from numpy.typing import NDArray

from naiad.applications.medical.bundle.files import METADATA, BundleFiles
from naiad.applications.medical.bundle.kinds import Grid, Loaded
from naiad.applications.medical.bundle.metadata import Metadata
from naiad.applications.medical.bundle.reader import read_from, transforms_in
from naiad.errors import PipelineError, RepositoryError, WeightsError
from naiad.torch_model import load_torchscript
from naiad.weights import read_checkpoint

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
        """Create the objects in the config, and load the network onto ``device``.

        Raises:
            RepositoryError: the config or a file of the bundle is wrong; says which and where.
        """
        self._files = files
        self._image, self._prediction = metadata.image, metadata.prediction
        self._device = torch.device(device)
        self._loaded: dict[str, Loaded] = {}
        # ``Invertd`` postprocesses by the transforms that preprocess other requests, which may not
        # be safe for two threads.
        self._transforming = threading.Lock()
        if str(files.root) not in sys.path:
            sys.path.insert(1, str(files.root))  # as MONAI does, for a bundle's scripts/
        self._parser = ConfigParser(files.config())
        self._parser["bundle_root"] = str(files.root)
        self._parser["device"] = f"$torch.device({str(self._device)!r})"
        self._before = self._chain("preprocessing", "dataset::transform")
        if not read_from(self._loaded, self._before, self._image.kind):
            raise files.wrong_config(
                f"preprocessing has no LoadImaged; it must begin with one for {self._image.name!r}"
            )
        after = self._chain("postprocessing", "evaluator::postprocessing", needed=False)
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
        inferer = self._made("inferer", "evaluator::inferer", needed=False)
        self._inferer: Inferer = SimpleInferer() if inferer is None else inferer
        self._network = self._load_network()

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

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """Run the network on images of the same shape, ``[images, channels, ...]``.

        Raises:
            PipelineError: it does not return one tensor.
        """
        found = self._inferer(images, self._network)
        if not isinstance(found, torch.Tensor):
            raise PipelineError(
                f"the bundle's network returns a {type(found).__name__}; it must return one tensor"
            )
        return found

    def label_maps(
        self, case: Case, prediction: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], Grid]:
        """Postprocess the prediction for an image, ``[channels, ...]``, without saving anything.

        Returns:
            The maps, ``[maps, x, y, z]`` or ``[maps, x, y]``, on the grid of the scan or picture,
            and that grid. If the bundle does not resample them itself (by ``Invertd``), a voxel of
            the scan has the label of the nearest voxel of the map, and 0 outside of it.

        Raises:
            PipelineError: a transform raised; says which.
        """
        data, grid = self._data(case, prediction)
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
        self, case: Case, prediction: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the values before postprocessing decides (``AsDiscreted``), and at its end; flat.

        Raises:
            PipelineError: a transform raised; says which.
        """
        data = self._run(self._scoring, self._data(case, prediction)[0])
        scores = self._tensor(data).as_tensor().float().numpy().ravel().copy()
        decided = self._tensor(self._run(self._deciding, data))
        return scores, decided.as_tensor().float().numpy().ravel()

    def _data(self, case: Case, prediction: NDArray[np.float32]) -> tuple[dict[str, Any], Grid]:
        # Our own bytes, written by prepare in this process. MONAI's loader pickles the same
        # dictionary to send it from its workers.
        data, meta, operations, grid = pickle.loads(case.state)
        for name, array in ((self._image.name, case.image), (self._prediction.name, prediction)):
            tensor = torch.from_numpy(np.ascontiguousarray(array))
            data[name] = MetaTensor(tensor, meta=dict(meta), applied_operations=list(operations))
        return data, grid

    def _run(self, steps: Compose, data: dict[str, Any]) -> dict[str, Any]:
        try:
            with self._transforming:
                return dict(cast(Any, steps(data)))
        except Exception as error:
            raise _failed("postprocessing", error) from error

    def _tensor(self, data: Mapping[str, Any]) -> MetaTensor:
        found = data.get(self._prediction.name)
        if isinstance(found, np.ndarray):
            found = torch.from_numpy(found)
        if not isinstance(found, torch.Tensor):
            raise PipelineError(
                f"the bundle's postprocessing returns {type(found).__name__} as "
                f"{self._prediction.name!r}; it must return a tensor"
            )
        return found if isinstance(found, MetaTensor) else MetaTensor(found)

    def _chain(self, *ids: str, needed: bool = True) -> Compose:
        made = self._made(*ids, needed=needed)
        return made if isinstance(made, Compose) else Compose(made)

    def _made(self, *ids: str, needed: bool = True) -> Any:
        """Create the object of the first of these ids that the config has."""
        found = next((id for id in ids if id in self._parser), None)
        if found is None:
            if needed:
                raise self._files.wrong_config(f"{ids[0]} is missing")
            return None
        try:
            with warnings.catch_warnings():
                # Changed defaults and missing readers, which concern the bundle's author.
                warnings.simplefilter("ignore")
                return self._parser.get_parsed_content(found)
        except Exception as error:
            raise self._files.wrong_config(
                f"{found} cannot be created: {_causes(error)}; if a package is missing, see "
                f"required_packages_version in {METADATA} and install it"
            ) from error

    def _load_network(self) -> torch.nn.Module:
        path = self._files.network
        name = path.relative_to(self._files.root)
        if self._files.torchscript:
            try:
                return load_torchscript(path, self._device)
            except WeightsError as error:
                raise RepositoryError(str(error)) from error
        network = self._made("network_def", "network")
        if not isinstance(network, torch.nn.Module):
            raise self._files.wrong_config(
                f"network_def creates a {type(network).__name__}; it must create a torch module"
            )
        try:
            state = read_checkpoint(path, largest=sys.maxsize)
            network.load_state_dict(state.get("model", state))
        except Exception as error:
            raise RepositoryError(
                f"{name}: not the parameters of network_def in {self._files.config_file}: "
                f"{_causes(error)}"
            ) from error
        return network.to(self._device).eval()


def _takes_argmax(step: Any) -> bool:
    chosen = step.argmax if isinstance(step, AsDiscreted | AsDiscrete) else False
    return any(chosen) if isinstance(chosen, Sequence) else bool(chosen)


def _failed(stage: str, error: Exception) -> PipelineError:
    return PipelineError(f"the bundle's {stage} failed: {_causes(error)}")


def _causes(error: BaseException) -> str:
    """Join the messages of an error and its causes, as MONAI wraps them deeply."""
    said: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        lines = str(cause).strip().splitlines()
        text = f"{type(cause).__name__}: {' '.join(line.strip() for line in lines[:3])}"[:300]
        if text not in said:
            said.append(text)
        cause = cause.__cause__
    return "; ".join([said[0], *said[-1:]] if len(said) > 1 else said)
