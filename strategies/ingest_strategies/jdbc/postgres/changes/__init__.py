"""Changes of PostgreSQL's tables from its write-ahead log, by logical decoding with `pgoutput`.

https://www.postgresql.org/docs/current/logicaldecoding.html. The units of an endpoint share a publication and a
replication slot; one that is loaded or lags behind has a slot of its own. Positions are those of commits (LSN). Slots are read by SQL
functions over an ordinary connection: what is read is not consumed, and a slot is moved to the checkpoints afterwards.
"""
