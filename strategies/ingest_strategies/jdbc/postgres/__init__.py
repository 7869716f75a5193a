"""PostgreSQL: dialect, catalog queries, sessions, types, horizon and reader."""
