"""Sources of data: one file, one source."""
