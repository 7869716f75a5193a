"""JQL and CQL: their common grammar, their dates, and their compilers over the search index."""
