"""How one slice of Confluence is read: items, permissions, attachments, and their rows."""
