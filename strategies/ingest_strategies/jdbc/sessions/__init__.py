"""Connections to databases, through ADBC or a DB-API driver."""
