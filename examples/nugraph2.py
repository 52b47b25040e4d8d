"""Label the hits of neutrino events by NuGraph2.

    naiad simulate nugraph2 -n 5 -o events.h5  # or your own file
    python examples/nugraph2.py events.h5

Needs the extra `nugraph2`.
"""

import sys

import naiad
from naiad.applications.nugraph.events import open_events


def main(path: str) -> None:
    """Print the number of signal hits of each event, and how many are of each class."""
    with (
        naiad.serve("nugraph2") as server,
        server.client() as client,
        open_events(path) as events,
    ):
        for event in events:
            result = client.nugraph2.infer(event)
            classes = ", ".join(f"{name} {sum(n)}" for name, *n in result.counts().itertuples())
            print(f"event {result.event}: {result.is_signal.sum()} signal hits; {classes}")


if __name__ == "__main__":
    main(*sys.argv[1:])
