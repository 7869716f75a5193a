"""Oracle: dialect, catalog queries, sessions, types."""
