"""Any command as a run: the same wrapper, status words and ledger, without an experiment."""
