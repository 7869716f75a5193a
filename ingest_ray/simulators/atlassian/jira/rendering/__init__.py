"""Renders issues and their parts as Jira's JSON."""
