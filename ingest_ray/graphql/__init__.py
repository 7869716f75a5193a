"""The GraphQL surface: translates between the published schema and the use cases, and decides nothing.

The contract that clients share is a part of the schema and only grows; `schema.py` assembles the schema.
"""
