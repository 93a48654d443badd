"""Gates, one per file: each maps rows and a task to a routing over experts."""
