"""Robustness checks and remedies."""
