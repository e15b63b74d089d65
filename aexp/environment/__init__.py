"""What a run ran in: packages, code, hardware; and what must never be written down."""
