"""The gate: Envoy in front of Triton, wherever others can reach the port."""
