"""Checkpoints of an unfinished run: their content, order and files."""
