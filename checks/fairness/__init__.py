"""Fairness checks."""
