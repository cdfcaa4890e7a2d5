"""A run on disk: its folder, its checkpoints and what was left of it."""
