"""What a unit's policy becomes for its dataset, and whether the unit can run with it."""
