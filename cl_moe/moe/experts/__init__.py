"""Expert kinds: one file, one factory of experts."""
