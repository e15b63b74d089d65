"""Rebuild the code of a run and execute it again."""
