"""Checks of explanations: whether what is said of an answer deserves to be believed."""
