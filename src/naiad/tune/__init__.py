"""Finding how a pipeline is best served on this machine: measure, fit, recommend."""
