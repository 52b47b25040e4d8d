"""The order of tests, and their distribution to processes: whole files, longest first.

So a file's servers are started once, and no process is left alone with a long file at the end.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

APART: Final = ("tests/e2e/test_docs.py",)
"""Files whose tests share nothing: each is handed out alone."""

LONGEST: Final = (
    "tests/e2e/test_docs.py",
    "tests/e2e/test_cpp.py",
    "tests/faults/test_supervisor.py",
    "tests/faults/test_stranger.py",
    "tests/e2e/test_bundle.py",
    "tests/e2e/test_engine.py",
    "tests/e2e/test_products.py",
    "tests/e2e/test_benchmark.py",
    "tests/e2e/test_process_ray.py",
    "tests/unit/client/test_lost_connections.py",
    "tests/e2e/test_bench.py",
    "tests/e2e/test_gat.py",
    "tests/faults/test_live_update.py",
    "tests/e2e/test_process.py",
    "tests/faults/test_memory.py",
    "tests/faults/test_gate.py",
    "tests/unit/triton/test_python_environment.py",
    "tests/faults/test_prepare_ahead.py",
    "tests/unit/gate/test_limits.py",
    "tests/e2e/test_balancer.py",
    "tests/faults/test_engine_faults.py",
    "tests/faults/test_worker_faults.py",
    "tests/unit/test_docs.py",
    "tests/unit/triton/backends/test_models.py",
    "tests/unit/triton/test_torch_export.py",
    "tests/unit/triton/test_engine_files.py",
    "tests/unit/applications/nugraph/test_display.py",
    "tests/unit/applications/nugraph/test_compiled.py",
    "tests/unit/applications/nugraph/test_cli.py",
    "tests/unit/native/test_batcher.py",
    "tests/unit/deploy/test_kubernetes.py",
    "tests/unit/test_bill_of_materials.py",
)
"""Files that take more than twenty seconds on two cores, the longest first.

Those of tests/e2e and tests/faults that are not here come next, before the unit tests.
"""


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests by their files' places in ``LONGEST``; the others follow unchanged."""
    places = {path: place for place, path in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


class ByFile(LoadScopeScheduling):
    """Hand out whole files in the order of collection, or single tests of files in ``APART``."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return nodeid if path in APART else path
