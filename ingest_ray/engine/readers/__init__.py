"""Sources that wrap or replace the strategy of a unit: a drifted schema, quarantined rows, kept staging."""
