"""What the strategies of Jira and Confluence share: login, concurrent requests, progress by time of change, batches."""
