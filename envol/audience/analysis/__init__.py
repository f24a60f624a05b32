"""Read-only SQL for analysts, over the columnar copy of their own workspace and nothing else.

``ask`` starts a child for each question and holds it to time; the child (``python -m envol.audience.analysis``) has no
database, no settings and no secret: ``guard`` lets through one SELECT over the views of ``views``, written anew from
its syntax tree, and DuckDB runs it with its configuration locked. PostgreSQL is never near.
"""
