"""Operators on a task: one file, one operator, each naming the relation it makes."""
