"""Methods that attribute a model's score to parts of a text, asked through the shared predictor."""
