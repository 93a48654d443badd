"""The one door to Avalanche: strategies, plugins, loaders and evaluation."""
