"""Search without a database: words, queries, documents, snippets, and what an index is.

Pure functions. `clew.db.search_sqlite` and `clew.db.search_postgres` implement `Index`.
"""
