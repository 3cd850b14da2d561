"""Templates of the reports; no logic."""
