"""The Predictions noun: made by scoring, or brought from elsewhere."""
