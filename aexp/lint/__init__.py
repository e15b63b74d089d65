"""What is wrong with scripts, sidecars, experiments and the ledger, as one list."""
