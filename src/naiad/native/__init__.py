"""The native backend: C++ in Triton's process, which batches requests for the workers.

A request is decoded, examined, queued, batched and answered in Triton's own process, as
``backend.cpp`` and the headers beside it say; a pipeline's hooks run in worker processes
(``naiad.triton.worker``), which are watched and replaced. The library needs the C ABI of Triton's
backends and nothing else, so that it works in any Triton.
"""
