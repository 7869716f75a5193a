"""OpenLineage: what each run read and wrote, for catalogs of metadata. Off by default."""
