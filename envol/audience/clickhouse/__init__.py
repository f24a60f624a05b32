"""The columnar copy on a ClickHouse cluster, for a base that outgrows one machine.

The tables are those of `columns.shape` and the rules are compiled by `columns.compile`; ``compile`` here puts what
they say into ClickHouse's words, ``tables`` and ``load`` make the copy from PostgreSQL, ``engine`` asks it. Whoever
changed since the copy was made is left out of its answer and asked of PostgreSQL, so an answer is exact and fresh.

clickhouse-connect, pyarrow and ADBC are imported by these files only, and only when a setting names a server.
"""
