"""Encoders, embeddings and heads: how they are fitted, named, found again and put together."""
