"""Benchmarks: quotients measured side by side; README.md explains each."""
