"""Client types in other languages, generated from a pipeline's schema."""
