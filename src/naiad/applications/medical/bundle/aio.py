"""The asyncio client of a served MONAI bundle, and the source of the blocking one."""

from __future__ import annotations

from typing import Any

from naiad.applications.medical.bundle.results import About, Answer
from naiad.applications.medical.bundle.schema import TASK_PARAMETER
from naiad.applications.medical.bundle.task import BundleTask
from naiad.client.aio import AsyncClient
from naiad.errors import InvalidInput, ModelNotFound
from naiad.tasks.aio import AsyncTaskClient


class AsyncBundleClient(AsyncTaskClient[Any, Answer]):
    """Client of a served bundle: scans and pictures in, label maps or classes out.

    ``client.bundle`` is that of the only bundle on the server.

    Example::

        async with naiad.AsyncClient("localhost:8001") as client:
            bundle = await AsyncBundleClient.find(client)
            answer = await bundle.infer("scan.nii.gz")
            answer.save("scan_seg.nii.gz")
    """

    @classmethod
    async def find(cls, client: AsyncClient, name: str | None = None) -> AsyncBundleClient:
        """Return the client of the bundle with this name; without a name, of the only one served.

        Raises:
            ModelNotFound: no bundle, or several; names them.
            InvalidInput: the model of that name is not a bundle.
        """
        found = cls(client.model(name or await find_bundle(client)), BundleTask())
        _ = await found.card
        return found

    @property
    async def card(self) -> About:
        """The model card, fetched once; the bundle is found with it.

        Raises:
            ModelNotFound: the server has no bundle, or several; names them.
            InvalidInput: the model is not a bundle.
        """
        if self._card is None and self.model.name == BundleTask.name:
            self.model = self.model.client.model(await find_bundle(self.model.client))
        card: About = await super().card
        if not card.task:
            raise InvalidInput(
                f"model {self.model.name} is not a bundle; serve one: naiad serve --bundle DIR"
            )
        return card

    @property
    async def about(self) -> About:
        """The same as ``card``."""
        return await self.card

    async def notice(self) -> str:
        """Return the notice of the served weights, or ""."""
        return (await self.card).notice


async def find_bundle(client: AsyncClient) -> str:
    """Return the name of the only bundle on a server, or of the one called ``bundle``.

    Raises:
        ModelNotFound: the server has no bundle, or several; names them.
    """
    # Not client.models(), which needs the server's control key.
    ready = {str(model["name"]) for model in (await client.statistics())["model_stats"]}
    bundles = [
        name
        for name in sorted(ready)
        if TASK_PARAMETER in (await client.config(name)).get("parameters", {})
    ]
    if BundleTask.name in bundles:
        return BundleTask.name
    if len(bundles) != 1:
        some = f"several bundles are served, name one with --model: {', '.join(bundles)}"
        none = "no bundle is served; serve one: naiad serve --bundle DIR"
        raise ModelNotFound(some if bundles else none)
    return bundles[0]
