"""The comparison of all rows of a unit at the source with those in its sink: one core for `verify` and `run --reconcile`."""
