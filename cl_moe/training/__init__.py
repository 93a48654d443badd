"""The interface to Avalanche: strategies, plugins, loaders and evaluation."""
