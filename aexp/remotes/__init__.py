"""Remotes: a name with an address, and what lies there."""
