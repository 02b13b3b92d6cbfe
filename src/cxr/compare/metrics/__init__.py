"""Measures of one model's answers: of its calls, of its order, of its probabilities."""
