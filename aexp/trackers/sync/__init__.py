"""Bring to the trackers what runs have left offline."""
