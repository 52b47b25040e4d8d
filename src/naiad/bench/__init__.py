"""Load for a served model, and what became of it: speed, latency, and where the time went."""
