"""Ways to learn a new task, how they are trained and compared."""
