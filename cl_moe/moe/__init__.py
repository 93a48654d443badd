"""The sparse network: experts, gates, layers, heads; imports torch only."""
