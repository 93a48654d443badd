"""Gates: one file, one gate; each turns rows and a task into a routing over experts."""
