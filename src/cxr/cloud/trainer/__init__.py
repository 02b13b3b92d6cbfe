"""A job of the own trainer, whichever cloud runs it."""
