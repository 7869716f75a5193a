"""Reads slices and keys of Confluence: items, permissions and attachments, and their rows."""
