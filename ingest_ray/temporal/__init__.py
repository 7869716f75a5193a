"""Workflows and activities that start Ray jobs and wait for them, in the same way for every source."""
