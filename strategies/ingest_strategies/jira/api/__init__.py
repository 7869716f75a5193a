"""The REST API of Jira: client, Cloud and Data Center, JQL, response shapes."""
