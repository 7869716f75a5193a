"""Plans what to read of a Confluence site: space selection, time zone, probe, page trees, scopes, cuts."""
