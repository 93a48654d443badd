"""Kinds of experts: one factory per file."""
