"""The native backend: C++ in Triton's process, which batches requests for the workers.

``backend.cpp`` and its headers decode, check, queue, batch and answer requests in Triton's own
process; a pipeline's hooks run in worker processes (``naiad.triton.worker``), which are watched
and replaced. The library needs only the C ABI of Triton's backends, so it works in any Triton.
"""
