"""The commands, by subject. They import what they need when they run: see `ingest_ray.cli`."""
