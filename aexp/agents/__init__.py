"""What a coding agent's hooks call: tell it where things stand, and hold it to the chain."""
