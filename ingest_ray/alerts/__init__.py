"""Messages about incidents, and their delivery: webhooks, Slack, Teams, e-mail. Standard library only."""
