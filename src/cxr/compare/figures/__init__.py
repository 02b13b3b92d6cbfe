"""Published figures, checked against each other: what was printed must be what some test set gives."""
