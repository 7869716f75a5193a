"""How long a table is waited for that another session has locked."""

LOCK_PATIENCE_S = 60.0
"""How long a reader or a planner that holds no lock itself asks for one again: a short ALTER TABLE then costs a run nothing."""
