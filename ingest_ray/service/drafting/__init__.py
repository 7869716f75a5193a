"""`init`: looks at a source and writes an `ingest.yaml` in which every enabled unit is fit to run."""
