"""Movies: a graph of films, people, genres and ratings, with embeddings of the descriptions.

What is like a film, what fits a description in words, and what somebody may like next.
"""
