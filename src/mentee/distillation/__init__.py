"""A method bound to one pair of networks, and the training loop."""
