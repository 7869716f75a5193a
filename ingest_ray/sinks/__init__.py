"""Sinks: `templates` describes them, `delta` and `databases` implement the sink contracts; they share the other modules."""
