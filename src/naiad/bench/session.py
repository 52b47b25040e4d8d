"""A benchmark from its settings to the report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from naiad import __version__
from naiad.bench.load import Load
from naiad.bench.measure import Level, find_highest_rate, measure, run
from naiad.bench.report import Report, Search
from naiad.bench.requests import find_requests, model_name
from naiad.bench.stages import SETTLE, Meter
from naiad.bench.target import Target
from naiad.bench.windows import AGREEING, Rule
from naiad.client.access import NO_ACCESS, Access
from naiad.client.address import Address
from naiad.client.client import Client
from naiad.client.spec import ModelSpec
from naiad.errors import Unavailable
from naiad.server_card import url_of
from naiad.triton.prometheus import metrics_url

_WARM_UP = 16  # requests


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a benchmark.

    Attributes:
        model: a name on the server, or a pipeline's spec.
        loads: one after the other.
        duration: total seconds of the agreeing windows.
        find_max: bound on the 99th percentile, in seconds, for a search of the highest rate.
        data: a file with requests.
        metrics_url: of the server's metrics; by default as in its card, or else Triton's default.
    """

    model: str
    loads: tuple[Load, ...]
    duration: float = 10.0
    find_max: float | None = None
    data: Path | None = None
    metrics_url: str | None = None


def measure_all(
    settings: Settings,
    url: str,
    *,
    access: Access = NO_ACCESS,
    on_load: Callable[[Load], None] = lambda load: None,
    on_level: Callable[[Level], None] = lambda level: None,
) -> Report:
    """Apply every load to the model at ``url``, and search for the highest rate if requested.

    ``access`` has the API key and the authority, if the server requires them. ``on_load`` is called
    with each load before it is applied, ``on_level`` with each measurement.

    Raises:
        NaiadError: the server or model is not available, or refuses the first request.
    """
    address = Address.parse(url)
    name = model_name(settings.model)
    with Client(url, api_key=access.api_key, ca=access.ca) as client:
        spec = ModelSpec.from_config(client.config(name))
    requests = find_requests(settings.model, spec, settings.data)
    target = Target(address, spec, requests.arrays, access=access)
    metrics = settings.metrics_url or url_of(address.place, "metrics")
    meter = Meter(metrics_url(metrics, address.host), name)
    rule = Rule(settings.duration / AGREEING)
    levels: list[Level] = []

    async def work() -> tuple[Search | None, tuple[str, ...]]:
        async def measured(load: Load) -> Level:
            on_load(load)
            # Each load has its own arrivals, so that no unlucky sequence affects all of them.
            level = await measure(load, target.send, rule, meter=reader, seed=len(levels))
            levels.append(level)
            on_level(level)
            return level

        try:
            for number in range(_WARM_UP):
                await target.send(number)
            missing = await _missing_metrics(meter)
            reader = None if missing else meter
            for load in settings.loads:
                await measured(load)
            if settings.find_max is None:
                return None, missing
            best = await find_highest_rate(measured, settings.find_max)
            return Search(settings.find_max, best), missing
        finally:
            await target.close()

    search, notes = run(work())
    return Report(
        model=name,
        url=str(address),
        requests=requests.source,
        version=__version__,
        window=rule.seconds,
        levels=tuple(levels),
        search=search,
        notes=notes,
    )


async def _missing_metrics(meter: Meter) -> tuple[str, ...]:
    """Return the reason why batch sizes and stages are not known, if they are not."""
    await asyncio.sleep(SETTLE)
    try:
        found = await meter.read()
    except Unavailable as error:
        reason = str(error)
    else:
        if found is not None:
            return ()
        reason = f"{meter.url} has no naiad_ metrics of model {meter.model}"
    return (
        f"batch sizes and stages are missing: {reason}; only your own servers on this host "
        "announce their metrics; for others give --metrics-url",
    )
