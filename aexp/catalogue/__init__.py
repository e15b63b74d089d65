"""The catalogue: a DuckDB file derived from ledger, record and store, that answers questions."""

from aexp.catalogue.catalogue import Catalogue, open_catalogue

__all__ = ["Catalogue", "open_catalogue"]
