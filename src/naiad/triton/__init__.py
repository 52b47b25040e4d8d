"""Everything that knows Triton: the adapter inside it, the repository for it, and its launch."""
