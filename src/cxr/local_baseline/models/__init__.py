"""Model builders, one architecture a file."""
