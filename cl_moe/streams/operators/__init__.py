"""Operators on tasks, one per file; each names the relation that it makes."""
