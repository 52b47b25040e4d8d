"""The client is light: it needs no torch, no server, and makes no noise."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "naiad.triton", "naiad.runtime", "pandas", "scipy", "matplotlib", "h5py")


def test_the_client_imports_nothing_heavy_and_warns_of_nothing() -> None:
    code = (
        "import sys, naiad.client, naiad.client.grpc, naiad.client.http\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not found, found"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
