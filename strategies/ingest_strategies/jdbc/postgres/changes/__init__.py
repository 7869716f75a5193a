"""Changes of PostgreSQL's tables from its write-ahead log, by logical decoding with `pgoutput`.

https://www.postgresql.org/docs/current/logicaldecoding.html. A unit has a replication slot and a publication of its own. Positions are
those of commits (LSN). The slot is read by SQL functions over an ordinary connection: what is read is not consumed, and the slot is
moved to the checkpoint afterwards.
"""
