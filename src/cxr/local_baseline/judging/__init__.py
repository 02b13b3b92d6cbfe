"""Scores of a model in memory, and what is chosen on validation: threshold, temperature, folds."""
