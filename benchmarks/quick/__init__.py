"""Instructions of hot paths, compared with a stored baseline of the same kind of machine."""
