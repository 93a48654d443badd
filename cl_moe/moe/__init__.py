"""The mixture of experts: experts, gates, layers, heads. Imports torch only."""
