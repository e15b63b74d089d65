"""The git-committed record of ended runs: one small JSON file per run."""
