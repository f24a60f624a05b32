"""The columnar copy of a workspace: the same segments, answered in milliseconds.

``shape`` says which columns there are and how PostgreSQL tells each; ``build`` writes them as immutable
Parquet slabs; ``delta`` fetches what changed since; ``compile`` turns one rule into a query over them;
``engine`` keeps the answer to each rule as an array over people and combines arrays. What a rule asks
that columns cannot tell, PostgreSQL is asked for that rule alone. Losing the slabs loses nothing.

DuckDB, numpy, pyarrow and ADBC are imported by these files only, and only in a process of their own.
"""
