"""Simulated databases under the product's code: as sources, the horizons, planner and quick check of `ingest_strategies.jdbc`; as sinks,
`SqlSink` and `SqlModelSink` on MariaDB.

traits            what one installation is like: database, cursor, zones, replica, grants
database_table    the table and its writers: sessions, open transactions, a replica that lags, a clock
statements        answers the planner's SQL from SQLite, after the few terms that differ are rewritten
postgres, mysql   dialects of the product, with a simulated session
table_strategy    the product's planner over them
product_seams     the product's clock, sleep and connections, replaced for the time of one history
"""
