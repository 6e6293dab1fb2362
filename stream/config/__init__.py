"""Every setting: its meaning, bounds and origin. The only room that reads the environment."""
