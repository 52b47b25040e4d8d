"""Movies: a graph of films, people, genres and ratings, with embeddings of the descriptions.

It finds films like a film, films that fit a description, and films that a user may like.
"""
