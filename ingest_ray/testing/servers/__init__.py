"""Real servers for tests: PostgreSQL, MariaDB, Redis, and SQLite files."""
