"""Trackers: where a run is seen live, and synced later."""
