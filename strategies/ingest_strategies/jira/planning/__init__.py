"""What has to be read of a Jira site now: probe, scopes, cuts."""
