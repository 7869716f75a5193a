"""Files of a Delta table that readers stage and commits adopt."""
