"""How one slice of Jira is read, and how its objects become rows."""
