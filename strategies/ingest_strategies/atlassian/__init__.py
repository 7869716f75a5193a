"""What the strategies of Jira and Confluence share: login, requests at once, progress by time of change, batches."""
