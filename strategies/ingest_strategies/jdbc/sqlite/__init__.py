"""SQLite: dialect, catalog queries, types, horizon and reader."""
