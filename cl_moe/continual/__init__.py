"""Continual-learning parts: decisions for a new task, penalties during training, evidence."""
