"""Changes from a database's log."""
