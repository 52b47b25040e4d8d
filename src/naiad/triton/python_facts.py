"""Facts about the running Python; also run as a program in Pythons from 3.8 on.

Only the standard library may be used here.
"""

from __future__ import annotations

import json
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version


def facts() -> dict[str, object]:
    """Return the versions of Python and NumPy ("" without it), and folders of this Python."""
    try:
        numpy = version("numpy")
    except PackageNotFoundError:
        numpy = ""
    return {
        "version": "{}.{}".format(*sys.version_info),
        "numpy": numpy,
        "prefixes": [sys.prefix, sys.base_prefix],
        "variables": [sysconfig.get_config_var(name) for name in ("LIBDIR", "LIBPL")],
        "multiarch": sysconfig.get_config_var("MULTIARCH"),
    }


if __name__ == "__main__":
    del sys.path[0]  # this folder
    print(json.dumps(facts()))
