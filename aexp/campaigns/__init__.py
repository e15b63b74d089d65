"""Campaigns: runs that answer one question together, as small files that git merges."""
