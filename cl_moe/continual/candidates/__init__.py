"""Candidates for learning a new task: ensembles and paths, and their trials."""
