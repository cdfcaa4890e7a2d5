"""A run for others: its model card, and its files on the Hugging Face hub."""
