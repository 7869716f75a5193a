"""SQL databases as sources: `templates` describes them, `strategy` implements the contract of sources over a `dialect`.

A unit is one table or view, its one segment is the whole table, and a slice is a range of its key, of its physical
addresses, or of its cursor.
"""
