"""``aexp doctor``: what is wrong here, and the command that mends it."""
