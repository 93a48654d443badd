"""Estimates of a study's time and memory before it is run."""
