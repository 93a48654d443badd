"""How rows are sent to the experts that a gate has chosen for them."""
