"""The database's history, for Alembic. A change of the tables is a new file in `versions`, never an edit of an old one.

Changes only add (a table, a nullable column, an index), so that an older version of the app still
works on a folder that a newer one has opened.
"""
