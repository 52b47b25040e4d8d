"""GraphSAGE over a co-purchase graph: categories of products, and what is bought together."""
