"""Methods: one file, one method; a function that returns a ready strategy."""
