"""Share the ledger between clones: by git, or as a file; and check what is in it."""
