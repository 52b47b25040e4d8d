"""A graph attention network for the topics of papers in a citation graph."""
