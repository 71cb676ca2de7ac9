"""The commands: flags, and a main each."""
