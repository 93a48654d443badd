"""Dispatch of rows to the experts that a gate has chosen."""
