"""The blocking client of a served MONAI bundle."""

# Made from aio.py by scripts/blocking.py: edit that.

from __future__ import annotations

from typing import Any

from naiad.applications.medical.bundle.results import About, Answer
from naiad.applications.medical.bundle.schema import TASK_PARAMETER
from naiad.applications.medical.bundle.task import BundleTask
from naiad.client.client import Client
from naiad.errors import InvalidInput, ModelNotFound
from naiad.tasks.client import TaskClient


class BundleClient(TaskClient[Any, Answer]):
    """Client of a served bundle: scans and pictures in, label maps or classes out.

    ``client.bundle`` is that of the only bundle on the server.

    Example::

        with naiad.Client("localhost:8001") as client:
            bundle = BundleClient.find(client)
            answer = bundle.infer("scan.nii.gz")
            answer.save("scan_seg.nii.gz")
    """

    @classmethod
    def find(cls, client: Client, name: str | None = None) -> BundleClient:
        """Return the client of the bundle with this name; without a name, of the only one served.

        Raises:
            ModelNotFound: no bundle, or several; names them.
            InvalidInput: the model of that name is not a bundle.
        """
        found = cls(client.model(name or find_bundle(client)), BundleTask())
        _ = found.card
        return found

    @property
    def card(self) -> About:
        """The model card, fetched once; the bundle is found with it.

        Raises:
            ModelNotFound: the server has no bundle, or several; names them.
            InvalidInput: the model is not a bundle.
        """
        if self._card is None and self.model.name == BundleTask.name:
            self.model = self.model.client.model(find_bundle(self.model.client))
        card: About = super().card
        if not card.task:
            raise InvalidInput(
                f"model {self.model.name} is not a bundle; serve one: naiad serve --bundle DIR"
            )
        return card

    @property
    def about(self) -> About:
        """The same as ``card``."""
        return self.card

    def notice(self) -> str:
        """Return the notice of the served weights, or ""."""
        return self.card.notice


def find_bundle(client: Client) -> str:
    """Return the name of the only bundle on a server, or of the one called ``bundle``.

    Raises:
        ModelNotFound: the server has no bundle, or several; names them.
    """
    # Not client.models(), which needs the server's control key.
    ready = {str(model["name"]) for model in client.statistics()["model_stats"]}
    bundles = [
        name
        for name in sorted(ready)
        if TASK_PARAMETER in client.config(name).get("parameters", {})
    ]
    if BundleTask.name in bundles:
        return BundleTask.name
    if len(bundles) != 1:
        some = f"several bundles are served, name one with --model: {', '.join(bundles)}"
        none = "no bundle is served; serve one: naiad serve --bundle DIR"
        raise ModelNotFound(some if bundles else none)
    return bundles[0]
