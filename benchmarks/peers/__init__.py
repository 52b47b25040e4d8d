"""Naiad against other model servers, with the same networks and load: ``make bench-peers``."""
