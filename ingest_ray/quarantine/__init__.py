"""Rows that could not be represented: written while a slice is read, listed and replayed later."""
