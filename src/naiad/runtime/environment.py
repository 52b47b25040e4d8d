"""Environment variables for numerical work: few threads, and a malloc that keeps memory."""

from __future__ import annotations

import os


def numeric_environment(threads: int) -> dict[str, str]:
    """Return the variables for ``threads`` OpenMP threads.

    By default glibc returns big tensors to the kernel on every batch and faults them in again on
    the next; keeping them took medium graphs from 299 to 520 requests per second. OpenMP threads
    that spin while they wait make everything else on a busy machine 10 to 100 times slower.
    """
    return {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
        "MALLOC_TOP_PAD_": str(64 << 20),
    }


def worker_environment(threads: int) -> dict[str, str]:
    """Return a worker's environment; the user's variables take precedence."""
    return numeric_environment(threads) | {"MKL_NUM_THREADS": str(threads)} | dict(os.environ)
