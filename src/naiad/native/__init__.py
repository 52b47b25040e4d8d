"""Naiad's part of Triton's own process, in C++, and the worker processes behind it.

The front takes the place of Triton's Python backend, as `backend.cpp` says. It does what
`naiad.triton.adapter` and `naiad.runtime` do in a Python stub (decode, queue, batch, reply,
replace workers), without the stub: a request is then copied once and no interpreter lock is in its
way. Where it cannot be built, or a model asks for what only Python has, those serve as before.
"""
