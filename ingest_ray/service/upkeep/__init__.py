"""Care for an installation: what is deleted after a time, and what is wrong with it."""
