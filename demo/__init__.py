"""A small shop, loaded into a lake, interrupted, resumed, changed and loaded again: `make demo`."""
