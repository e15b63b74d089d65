"""Check a repository's research record: the kb, the runs, and what findings cite."""
