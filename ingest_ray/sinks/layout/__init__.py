"""The layout of lake tables: partition transforms and the order of rows inside files."""
