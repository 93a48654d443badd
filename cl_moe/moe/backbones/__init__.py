"""Networks with slots for experts: one file a kind."""
