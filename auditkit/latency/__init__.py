"""Times a model: clocks, scenarios as MLPerf Inference defines them, and the machine they ran on.

What is timed is the model itself, not the shared predictor, which would answer from its cache.
"""
