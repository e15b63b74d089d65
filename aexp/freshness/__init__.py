"""Whether what runs have shown still holds: their files, environment and parents, then and now."""
