"""Older layouts and other tools: what they have left becomes what is written here."""
