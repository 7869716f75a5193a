"""The log of a Delta table: its snapshot, its commits and their numbers."""
