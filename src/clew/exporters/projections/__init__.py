"""Training formats as projections of the native row: one format, one module, pure functions."""
