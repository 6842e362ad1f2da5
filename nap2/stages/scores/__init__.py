"""Scores of untrained networks: computed, kept, and turned into rows."""
