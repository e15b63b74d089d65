"""What a result will mean, written down before the run: sidecars, conditions, outcomes."""
