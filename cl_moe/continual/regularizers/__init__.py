"""Penalties on the loss that protect what was learned."""
