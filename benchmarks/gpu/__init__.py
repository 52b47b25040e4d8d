"""The networks on a GPU: the same answers as on the CPU, and how fast."""
