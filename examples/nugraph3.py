"""Label the hits of neutrino events, and find their class and vertex.

    naiad simulate nugraph3 -n 5 -o events.h5  # or your own file
    python examples/nugraph3.py events.h5

Needs the extra `nugraph3`.
"""

import sys

import naiad
from naiad.applications.nugraph.events import open_events


def main(path: str) -> None:
    """Print the class and vertex of each event."""
    with (
        naiad.serve("nugraph3") as server,
        server.client() as client,
        open_events(path) as events,
    ):
        for event in events:
            result = client.nugraph3.infer(event)
            x, y, z = result.vertex
            print(f"event {result.event}: {result.event_class}, vertex {x:.0f} {y:.0f} {z:.0f} cm")


if __name__ == "__main__":
    main(*sys.argv[1:])
