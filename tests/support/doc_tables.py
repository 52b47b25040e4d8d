"""``docs/tables.py``, which makes the documentation's tables, as a module."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from tests.support.markdown import ROOT


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = _load()
