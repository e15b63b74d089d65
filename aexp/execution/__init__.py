"""Execute one run: claim, command, output, signals, terminal status."""
