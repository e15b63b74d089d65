"""Checkpoints of training libraries: PyTorch, Transformers, Lightning. Each loads its own."""
