"""Files on any file system of `pyarrow.fs`, and names that are safe as parts of paths."""
