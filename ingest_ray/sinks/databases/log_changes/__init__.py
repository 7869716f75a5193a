"""Changes of a table that come from a database's log, applied to the unit's table."""
