"""Tasks, where they come from, how they relate, and scenarios that describe them."""
