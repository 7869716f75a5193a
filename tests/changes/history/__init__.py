"""A log that lacks changes between two runs: of another server, of an altered publication, of another table."""
