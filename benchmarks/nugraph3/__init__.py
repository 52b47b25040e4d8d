"""Naiad's NuGraph3 against a plain deployment of the same network: ``make bench``."""
