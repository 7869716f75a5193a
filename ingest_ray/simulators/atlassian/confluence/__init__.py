"""A simulated Confluence: its store, its search, and its REST endpoints as Cloud and as Data Center."""
