"""Penalties on the loss that protect earlier tasks."""
