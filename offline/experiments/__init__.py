"""The experiments below `segue experiment`, and what they are made of."""
