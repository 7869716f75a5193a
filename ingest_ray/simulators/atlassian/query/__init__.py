"""JQL and CQL: their common grammar, their dates, and what each means over the search index."""
