"""Databases as sinks: rows are loaded into a stage table, and one transaction moves them into the target table and records the commit.

`table_sink` and `model_sink` implement the sink contracts for every database; `database` declares what they require of one; each
database has a module, and one for its types in `types`.
"""
