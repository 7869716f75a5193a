"""Confluence Cloud v2, in layers: listings, pages, the tree, comments and attachments, spaces, and what apps and people add."""
