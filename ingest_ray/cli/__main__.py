"""`python -m ingest_ray.cli`: the same as `ingest-ray`."""

from ingest_ray.cli.main import main

main()
