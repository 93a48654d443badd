"""One study = scenario x methods x seeds: planned, run, resumed, and kept on disk."""
