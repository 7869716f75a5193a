"""Workflows and activities: they start Ray jobs and wait for them, for every kind of source in the same way."""
