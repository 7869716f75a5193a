"""Jira Cloud: what it answers otherwise than Data Center."""
