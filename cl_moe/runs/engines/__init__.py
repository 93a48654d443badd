"""Engines that execute runs: in this process, in worker processes, or on a Ray cluster."""
