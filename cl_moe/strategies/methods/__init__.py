"""Methods, one per file: a function that returns a complete strategy."""
