"""Principals and roles, bearer tokens, identity providers, rotation of the key that seals secrets."""
