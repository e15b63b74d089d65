"""What aexp costs, next to its published peer and to floors measured in the same run."""
