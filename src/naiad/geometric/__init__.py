"""PyTorch Geometric networks as pipelines: their graphs in, their outputs out."""
