"""Histories: the plan of a commit, and whole runs."""
