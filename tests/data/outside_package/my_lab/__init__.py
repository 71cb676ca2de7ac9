"""A package of somebody else's: an environment and a memory for keras_s5rl."""
