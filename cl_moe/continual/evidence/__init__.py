"""Closed-form estimates of how useful earlier tasks' features are for a new task."""
