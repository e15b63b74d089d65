"""Checkpoints: saved whole, found again, verified, kept and dropped."""
