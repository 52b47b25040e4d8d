"""A graph attention network that tells the topic of each paper in a citation graph."""
