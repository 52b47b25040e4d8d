"""Build hook: the software bill of materials in the wheel's ``.dist-info/sboms`` (PEP 770)."""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BillOfMaterials(BuildHookInterface[Any]):
    """Generate the bill in a temporary directory, from which hatchling packs it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate it; called by hatchling before it builds a wheel."""
        if version == "editable":  # it would be out of date at the next change
            return
        root = Path(self.root)
        script = runpy.run_path(str(root / "scripts" / "sbom.py"))
        self._folder = tempfile.TemporaryDirectory(prefix="naiad-sbom-")
        path = Path(self._folder.name, script["NAME"])
        path.write_text(script["bill_of_materials"](root), "utf-8")
        build_data["sbom_files"].append(str(path))
