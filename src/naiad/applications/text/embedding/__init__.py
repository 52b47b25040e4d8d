"""Sentence encoders: texts in, vectors out; and the workshop's contract of token ids in.

The default encoder is all-MiniLM-L6-v2 of the sentence-transformers project.
"""
