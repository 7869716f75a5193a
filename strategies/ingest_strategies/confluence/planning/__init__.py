"""What has to be read of a Confluence site now: probe, time zone, page tree, scopes, cuts."""
