"""Choose the label that fits a text, without training.

    python examples/zero_shot.py

Needs the extra `zero-shot` and an encoder, see docs/zero-shot.md.
"""

import naiad

TEXTS = [
    "Who are you voting for 2021?",
    "Jupiter's Biggest Moons Started as Tiny Grains of Hail",
]
LABELS = ["business", "space and science", "politics"]


def main() -> None:
    """Print the best label of each text."""
    with naiad.serve("zero_shot") as server, server.client() as client:
        for text, found in zip(TEXTS, client.zero_shot.infer(TEXTS, LABELS), strict=True):
            print(f"{found.label}: {text}")


if __name__ == "__main__":
    main()
