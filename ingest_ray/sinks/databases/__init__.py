"""Databases as sinks: rows are loaded into a stage, and one transaction moves them into the table and notes it in a ledger.

`sink` is the contract, the same for all; `database` says what it needs of a database; one module per database.
"""
