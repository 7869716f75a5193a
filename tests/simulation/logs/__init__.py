"""A simulated PostgreSQL with a log, replication slots and writers, under the product's code for changes: its slots, planner and reader.

log_server      the table, its transactions, the log, the slots, and what happens to them
log_session     answers the product's SQL, and writes the log's messages as `pgoutput` does
log_strategy    the product's `PostgresLog` over it; the slices and rows of the first load are the simulation's
log_sink        a sink that applies changes, and compares itself with the table at the position of each commit
log_checks      what must be true of checkpoints and slots
log_run         a run in rounds: the log is opened before each, and moved on after it
mutations       deliberate bugs
"""
