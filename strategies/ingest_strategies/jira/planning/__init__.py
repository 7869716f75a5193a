"""Plans what to read of a Jira site: probe, scopes, cuts."""
