"""Networks with slots for experts: one file per kind."""
