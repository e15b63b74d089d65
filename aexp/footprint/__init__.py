"""The files of a run: what it executes, reads and makes, by their content."""
