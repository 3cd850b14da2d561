"""Checks and remedies for inputs unlike those the model was trained on."""
