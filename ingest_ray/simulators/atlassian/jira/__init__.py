"""A simulated Jira: its store, its search, and its REST endpoints as Cloud and as Data Center."""
