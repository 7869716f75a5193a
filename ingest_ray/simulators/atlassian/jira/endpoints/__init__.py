"""The endpoints that Jira Cloud and Jira Data Center have in common, one module for each area."""
