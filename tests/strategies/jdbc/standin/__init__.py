"""Oracle's and SQL Server's statements run on PostgreSQL, whose tables and a few functions stand in for theirs.

This proves that the statements are well formed in their own dialect (sqlglot parses each), and select the right rows. It
cannot prove that the real servers agree in every detail.
"""
