"""What a Python is made of, said by itself; also run as a program in Pythons from 3.8 on.

Nothing here may need more than the standard library.
"""

from __future__ import annotations

import json
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version


def facts() -> dict[str, object]:
    """The Python's version, that of its NumPy ("" without), and where it was built and lies."""
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
