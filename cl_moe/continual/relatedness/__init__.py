"""How related a new task is to what is known: scores of features, matching of classes."""
