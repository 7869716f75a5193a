"""What has to be read of a table now: probe, horizon, scopes, cuts."""
