"""Prepared slices of Delta tables: their files, the commits that name them, the files that no commit named."""
