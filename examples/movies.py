"""Search films by description, and recommend films to a user.

    naiad movies load
    naiad movies embed
    python examples/movies.py

Needs the extra `movies` and an encoder, see docs/zero-shot.md.
"""

import naiad


def main() -> None:
    """Print films for a description, and for the user 42."""
    with naiad.serve("movies_search", "movies_recommend") as server, server.client() as client:
        for film in client.movies_search.infer("a heist in space", k=3):
            print("fits:", film.name)
        for film in client.movies_recommend.infer("42", k=3):
            print("for user 42:", film.name)


if __name__ == "__main__":
    main()
