"""Stores of secrets. The library of each is imported with the first reference that is followed."""
