"""Build hook: the compiled libraries, and the software bill of materials (PEP 770).

A wheel has the libraries for every kind of processor and is tagged ``any``, except under
cibuildwheel, which builds, and then tests, one for each platform.
"""

from __future__ import annotations

import os
import platform
import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Compiled(BuildHookInterface[Any]):
    """Compile the libraries into the source tree, and generate the bill beside it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make them; called by hatchling before it builds a wheel."""
        root = Path(self.root)
        native = runpy.run_path(str(root / "scripts" / "native.py"))
        if version == "editable":  # the bill would be out of date at the next change
            native["build_all"](platform.machine())
            return
        native["build_all"](*native["MACHINES"])
        script = runpy.run_path(str(root / "scripts" / "sbom.py"))
        self._folder = tempfile.TemporaryDirectory(prefix="naiad-sbom-")
        path = Path(self._folder.name, script["NAME"])
        path.write_text(script["bill_of_materials"](root), "utf-8")
        build_data["sbom_files"].append(str(path))
        target = os.environ.get("AUDITWHEEL_PLAT")  # such as manylinux_2_28_x86_64
        if target and "CIBUILDWHEEL" in os.environ:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{target}"
