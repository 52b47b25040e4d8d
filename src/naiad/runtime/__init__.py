"""What runs a pipeline: batches, worker processes and the service between them; no Triton here."""
