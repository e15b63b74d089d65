"""The catalogue: a DuckDB file derived from ledger, record and store, that answers questions."""
