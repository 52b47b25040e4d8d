"""Build hook: the native backend, and the software bill of materials (PEP 770)."""

from __future__ import annotations

import platform
import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Compiled(BuildHookInterface[Any]):
    """Compile the native backend into the source tree, and generate the bill beside it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make them; called by hatchling before it builds a wheel."""
        root = Path(self.root)
        native = runpy.run_path(str(root / "scripts" / "native.py"))
        if version == "editable":  # the bill would be out of date at the next change
            native["build"](platform.machine())
            return
        for machine in native["MACHINES"]:
            native["build"](machine)
        script = runpy.run_path(str(root / "scripts" / "sbom.py"))
        self._folder = tempfile.TemporaryDirectory(prefix="naiad-sbom-")
        path = Path(self._folder.name, script["NAME"])
        path.write_text(script["bill_of_materials"](root), "utf-8")
        build_data["sbom_files"].append(str(path))
