"""The sink of MySQL and MariaDB."""
