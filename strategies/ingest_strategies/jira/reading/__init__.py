"""Reads slices and keys of Jira, and turns its objects into rows."""
