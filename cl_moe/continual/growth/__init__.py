"""Growth policies: one file, one way to decide which experts a new task uses."""
