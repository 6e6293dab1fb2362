"""Training from a play log: one trainer for all networks, one module a bundle, tuning."""
