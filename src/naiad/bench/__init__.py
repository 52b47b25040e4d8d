"""Load generation and measurement of a served model: throughput, latency and its parts."""
