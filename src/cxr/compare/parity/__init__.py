"""Whether the exports of a bundle say what the bundle says: pixels first, then probabilities and decisions."""
