"""Worker processes: they run a pipeline's hooks on batches, and know nothing of Triton."""
