"""Logins of clouds. The library of each is imported with the first connection."""
