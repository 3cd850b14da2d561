"""Checks and remedies of what a model does where it was not trained."""
