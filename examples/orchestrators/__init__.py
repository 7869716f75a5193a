"""A project in other people's schedulers: they say when, ingest_ray says what and keeps the state."""
