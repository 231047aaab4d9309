"""Plays in which friends help each other: common rules once, and one module for each form."""
