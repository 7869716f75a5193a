"""How a column of a database becomes an Arrow column."""
