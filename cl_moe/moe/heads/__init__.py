"""Heads, one kind per file: each maps named features to the outputs of one task."""
