"""Heads: one file a kind; each reads named features and gives the outputs of one task."""
