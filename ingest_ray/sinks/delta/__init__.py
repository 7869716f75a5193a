"""Delta Lake as a sink: one table per unit, or one per CDM model."""
