"""Find the sentence that is nearest in meaning.

    python examples/text_embedding.py

Needs the extra `text-embedding` and an encoder, see docs/zero-shot.md.
"""

import naiad

QUESTION = "a heist in space"
SENTENCES = ["a bank robbery on the moon", "a love story in Paris", "how to bake bread"]


def main() -> None:
    """Print the cosine of each sentence with the question."""
    with naiad.serve("text_embedding") as server, server.client() as client:
        question, *vectors = client.text_embedding.embed([QUESTION, *SENTENCES])
    for sentence, vector in zip(SENTENCES, vectors, strict=True):
        print(f"{question @ vector:.2f} {sentence}")


if __name__ == "__main__":
    main()
