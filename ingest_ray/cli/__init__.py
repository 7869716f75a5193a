"""`ingest-ray`: the command line. It translates between people and the use cases, and decides nothing."""
