"""Sinks: `templates` describes them, `delta` and `databases` implement the sink contracts, the other modules are shared."""
