"""SQL Server: dialect, catalog queries, sessions, types."""
