"""MySQL and MariaDB: dialect, catalog queries, sessions, types, horizon and reader."""
