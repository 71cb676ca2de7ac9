"""Continuous control and tasks under random projections."""
