"""Proximal policy optimisation for recurrent policies, compiled as a whole."""
