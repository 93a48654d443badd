"""Closed-form evidence of how well what is known serves a new task."""
