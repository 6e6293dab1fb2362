"""The commands below `segue train`, one module for each kind of model."""
