"""Training on this machine; the same code is what a custom job runs."""
