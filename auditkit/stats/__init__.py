"""Statistics: arrays in, numbers out. Nothing here knows what a check or a model is."""
