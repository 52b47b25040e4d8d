"""GraphSAGE on a co-purchase graph: categories of products, and recommendations."""
