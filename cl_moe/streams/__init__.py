"""Tasks, their sources, operators on tasks, streams and scenarios."""
