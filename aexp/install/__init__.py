"""Set a research repository up for aexp."""
