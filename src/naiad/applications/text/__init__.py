"""Text: embeddings, and classification without training."""
