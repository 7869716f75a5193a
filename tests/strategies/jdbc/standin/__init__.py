"""Oracle's and SQL Server's statements run on PostgreSQL, whose tables and a few functions stand in for theirs.

What this proves: the statements are well formed in their own dialect (sqlglot parses each), and mean the right rows. What
it cannot prove: that the real servers agree in every detail.
"""
