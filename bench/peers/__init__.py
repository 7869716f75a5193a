"""One script per peer, each run by the Python of its own environment: `script URL OUT`. Nothing here imports ingest_ray."""
