"""Planning of a table: probe, horizon, scopes, cuts."""
