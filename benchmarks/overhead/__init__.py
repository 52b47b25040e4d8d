"""What Naiad's way of serving costs, against a bare model of Triton's Python backend."""
